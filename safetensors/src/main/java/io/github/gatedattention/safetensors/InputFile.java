package io.github.gatedattention.safetensors;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.channels.ClosedByInterruptException;
import java.nio.channels.FileChannel;
import java.nio.file.AccessDeniedException;
import java.nio.file.FileSystemException;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.BasicFileAttributes;
import java.util.Optional;

/** A regular file open for reading, with the size it had when it was opened. */
final class InputFile implements AutoCloseable {
    /** Bytes that can be read at any position: a file, or memory. */
    private interface Source {
        /** Reads some bytes; -1 at the end. */
        int read(ByteBuffer target, long position) throws IOException;

        long size() throws IOException;

        void close() throws IOException;
    }

    private final String name;
    private final Source source;
    private final long size;

    private InputFile(String name, Source source) throws IOException {
        this.name = name;
        this.source = source;
        this.size = source.size();
    }

    /** Opens a regular file. The kind is asked first: opening a FIFO would wait for its writer. */
    static InputFile open(Path path) throws SafetensorsException {
        try {
            var attributes = Files.readAttributes(path, BasicFileAttributes.class);
            if (attributes.isDirectory()) {
                throw new SafetensorsException(path.toString(), "is a directory, a safetensors file is expected");
            }
            if (!attributes.isRegularFile()) {
                throw new SafetensorsException(
                        path.toString(), "is a FIFO, device or socket, a regular file is expected");
            }
            var channel = FileChannel.open(path, StandardOpenOption.READ);
            try {
                return new InputFile(path.toString(), of(channel));
            } catch (IOException | RuntimeException e) {
                channel.close();
                throw e;
            }
        } catch (IOException e) {
            throw explain(path.toString(), e);
        }
    }

    /** The content of a file that is in memory already. */
    static InputFile of(String name, byte[] content) throws SafetensorsException {
        try {
            return new InputFile(name, of(content));
        } catch (IOException e) {
            throw explain(name, e);
        }
    }

    private static Source of(FileChannel channel) {
        return new Source() {
            @Override
            public int read(ByteBuffer target, long position) throws IOException {
                return channel.read(target, position);
            }

            @Override
            public long size() throws IOException {
                return channel.size();
            }

            @Override
            public void close() throws IOException {
                channel.close();
            }
        };
    }

    private static Source of(byte[] content) {
        return new Source() {
            @Override
            public int read(ByteBuffer target, long position) {
                int bytes = (int) Math.min(target.remaining(), content.length - position);
                target.put(content, (int) position, bytes);
                return bytes;
            }

            @Override
            public long size() {
                return content.length;
            }

            @Override
            public void close() {
                // Nothing to release.
            }
        };
    }

    /** Bytes when the file was opened. */
    long size() {
        return size;
    }

    /** An exception about this file. */
    SafetensorsException problem(String problem) {
        return new SafetensorsException(name, problem);
    }

    /** Throws when there is a problem. */
    void require(Optional<String> problem) throws SafetensorsException {
        if (problem.isPresent()) {
            throw problem(problem.get());
        }
    }

    /** Fills {@code target} with the bytes from {@code position} on. */
    void readFully(ByteBuffer target, long position) throws SafetensorsException {
        long at = position;
        try {
            while (target.hasRemaining()) {
                int read = source.read(target, at);
                if (read < 0) {
                    throw problem("ended at byte " + at + " of " + size + ": it was truncated while it was read");
                }
                at += read;
            }
        } catch (IOException e) {
            throw explain(name, e);
        }
    }

    /** Refuses a file that has grown or shrunk since it was opened: what was read may be half of an old and half of a new one. */
    void requireSameSize() throws SafetensorsException {
        try {
            long now = source.size();
            if (now != size) {
                throw problem("changed from " + size + " to " + now + " bytes while it was read");
            }
        } catch (IOException e) {
            throw explain(name, e);
        }
    }

    @Override
    public void close() throws SafetensorsException {
        try {
            source.close();
        } catch (IOException e) {
            throw explain(name, e);
        }
    }

    private static SafetensorsException explain(String name, IOException e) {
        return switch (e) {
            case SafetensorsException known -> known;
            case NoSuchFileException _ -> new SafetensorsException(name, "does not exist", e);
            case ClosedByInterruptException _ ->
                new SafetensorsException(name, "was not read to its end: the thread was interrupted", e);
            default -> new SafetensorsException(name, "is not readable: " + reason(e), e);
        };
    }

    /** What the file system says; its own messages are often no more than the path. */
    static String reason(IOException e) {
        return switch (e) {
            case AccessDeniedException _ -> "permission denied";
            case FileSystemException failure
            when failure.getReason() != null ->
                failure.getReason().contains("symbolic links")
                        ? "its symbolic links form a loop or too long a chain"
                        : failure.getReason();
            default -> String.valueOf(e.getMessage());
        };
    }
}
