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
    private final Path path;
    private final FileChannel channel;
    private final long size;

    private InputFile(Path path, FileChannel channel, long size) {
        this.path = path;
        this.channel = channel;
        this.size = size;
    }

    /** Opens a regular file. The kind is asked first: opening a FIFO would wait for its writer. */
    static InputFile open(Path path) throws SafetensorsException {
        try {
            var attributes = Files.readAttributes(path, BasicFileAttributes.class);
            if (attributes.isDirectory()) {
                throw new SafetensorsException(path, "is a directory, a safetensors file is expected");
            }
            if (!attributes.isRegularFile()) {
                throw new SafetensorsException(path, "is a FIFO, device or socket, a regular file is expected");
            }
            var channel = FileChannel.open(path, StandardOpenOption.READ);
            try {
                return new InputFile(path, channel, channel.size());
            } catch (IOException | RuntimeException e) {
                channel.close();
                throw e;
            }
        } catch (IOException e) {
            throw explain(path, e);
        }
    }

    /** Bytes when the file was opened. */
    long size() {
        return size;
    }

    /** An exception about this file. */
    SafetensorsException problem(String problem) {
        return new SafetensorsException(path, problem);
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
                int read = channel.read(target, at);
                if (read < 0) {
                    throw problem("ended at byte " + at + " of " + size + ": it was truncated while it was read");
                }
                at += read;
            }
        } catch (IOException e) {
            throw explain(path, e);
        }
    }

    /** Refuses a file that has grown or shrunk since it was opened: what was read may be half of an old and half of a new one. */
    void requireSameSize() throws SafetensorsException {
        try {
            long now = channel.size();
            if (now != size) {
                throw problem("changed from " + size + " to " + now + " bytes while it was read");
            }
        } catch (IOException e) {
            throw explain(path, e);
        }
    }

    @Override
    public void close() throws SafetensorsException {
        try {
            channel.close();
        } catch (IOException e) {
            throw explain(path, e);
        }
    }

    private static SafetensorsException explain(Path path, IOException e) {
        return switch (e) {
            case SafetensorsException known -> known;
            case NoSuchFileException _ -> new SafetensorsException(path, "does not exist", e);
            case ClosedByInterruptException _ ->
                new SafetensorsException(path, "was not read to its end: the thread was interrupted", e);
            default -> new SafetensorsException(path, "is not readable: " + reason(e), e);
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
