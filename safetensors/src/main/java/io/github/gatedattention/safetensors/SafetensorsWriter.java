package io.github.gatedattention.safetensors;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardCopyOption;
import java.nio.file.StandardOpenOption;
import java.util.Comparator;
import java.util.List;
import java.util.Map;
import java.util.UUID;

/** Writes a file beside its final place and moves it there when it is complete, so that nobody ever sees a part of it. */
final class SafetensorsWriter {
    private static final int CHUNK = 1 << 20;

    private SafetensorsWriter() {}

    static void write(Path path, Map<String, SafetensorsTensor> tensors, Map<String, String> metadata)
            throws SafetensorsException {
        List<SafetensorsTensor> ordered = ordered(tensors);
        ByteBuffer header = HeaderWriter.write(ordered, metadata);
        if (Files.isDirectory(path)) {
            throw new SafetensorsException(path.toString(), "is a directory, a file cannot take its place");
        }
        Path name = path.getFileName();
        if (name == null) {
            throw new SafetensorsException(path.toString(), "names no file");
        }
        Path temporary = path.resolveSibling("." + name + "." + UUID.randomUUID() + ".tmp");
        try {
            try {
                writeAll(temporary, header, ordered);
                Files.move(temporary, path, StandardCopyOption.ATOMIC_MOVE);
            } finally {
                Files.deleteIfExists(temporary);
            }
        } catch (IOException e) {
            throw explain(path, e);
        }
    }

    /** Wide elements first, so that each tensor is aligned to its element size without gaps. */
    private static List<SafetensorsTensor> ordered(Map<String, SafetensorsTensor> tensors) {
        tensors.forEach((key, tensor) -> {
            if (!key.equals(tensor.name())) {
                throw new IllegalArgumentException(
                        "tensor " + Quote.name(tensor.name()) + " is given under the key " + Quote.name(key));
            }
        });
        return tensors.values().stream()
                .sorted(Comparator.comparingInt(
                                (SafetensorsTensor tensor) -> -tensor.dtype().bits())
                        .thenComparing(SafetensorsTensor::name))
                .toList();
    }

    private static void writeAll(Path file, ByteBuffer header, List<SafetensorsTensor> tensors) throws IOException {
        try (var channel = FileChannel.open(file, StandardOpenOption.CREATE_NEW, StandardOpenOption.WRITE)) {
            var length = ByteBuffer.allocate(Header.LENGTH_BYTES)
                    .order(ByteOrder.LITTLE_ENDIAN)
                    .putLong(header.remaining());
            writeFully(channel, length.flip());
            writeFully(channel, header);
            // Heap segments have no ByteBuffer unless they hold bytes: everything passes through one direct buffer.
            ByteBuffer buffer = ByteBuffer.allocateDirect(CHUNK);
            for (SafetensorsTensor tensor : tensors) {
                MemorySegment data = tensor.data();
                for (long at = 0; at < data.byteSize(); at += CHUNK) {
                    int bytes = (int) Math.min(CHUNK, data.byteSize() - at);
                    MemorySegment.copy(data, at, MemorySegment.ofBuffer(buffer.clear()), 0, bytes);
                    writeFully(channel, buffer.limit(bytes));
                }
            }
            channel.force(true);
        }
    }

    private static void writeFully(FileChannel channel, ByteBuffer bytes) throws IOException {
        while (bytes.hasRemaining()) {
            channel.write(bytes);
        }
    }

    private static SafetensorsException explain(Path path, IOException e) {
        Path directory = path.toAbsolutePath().getParent();
        if (directory != null && !Files.isDirectory(directory)) {
            return new SafetensorsException(
                    path.toString(), "cannot be written: " + directory + " is not a directory", e);
        }
        return new SafetensorsException(path.toString(), "cannot be written: " + InputFile.reason(e), e);
    }
}
