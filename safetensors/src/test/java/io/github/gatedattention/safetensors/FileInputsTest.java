package io.github.gatedattention.safetensors;

import static io.github.gatedattention.safetensors.RawFile.of;
import static io.github.gatedattention.safetensors.RawFile.refused;
import static io.github.gatedattention.safetensors.RawFile.tensor;
import static io.github.gatedattention.safetensors.RawFile.withLength;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.junit.jupiter.api.Assertions.assertTimeoutPreemptively;

import java.io.IOException;
import java.io.RandomAccessFile;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Files that are not what they seem, one test each, by their numbers in the list of bad inputs. */
class FileInputsTest {
    private static final byte[] VALID = of(tensor("\"U8\"", "[4]", "[0,4]"), new byte[4]);

    @TempDir
    Path directory;

    @Test
    @DisplayName("input 47: directory, FIFO, device, /proc file")
    void notRegular() throws Exception {
        refused(directory).isEqualTo("is a directory, a safetensors file is expected");
        Path fifo = directory.resolve("fifo");
        assertThat(new ProcessBuilder("mkfifo", fifo.toString()).start().waitFor())
                .isZero();
        assertTimeoutPreemptively(Duration.ofSeconds(30), () -> {
            refused(fifo).isEqualTo("is a FIFO, device or socket, a regular file is expected");
            refused(Path.of("/dev/zero")).isEqualTo("is a FIFO, device or socket, a regular file is expected");
            refused(Path.of("/proc/self/status")).startsWith("is empty (0 bytes)");
            refused(Path.of("/proc/self/mem")).startsWith("is empty (0 bytes)");
        });
    }

    @Test
    @DisplayName("input 48: symbolic links in a loop")
    void linkLoop() throws IOException {
        Path one = directory.resolve("one");
        Path two = directory.resolve("two");
        Files.createSymbolicLink(one, two);
        Files.createSymbolicLink(two, one);
        refused(one).isEqualTo("is not readable: its symbolic links form a loop or too long a chain");
        refused(Files.createSymbolicLink(directory.resolve("dangling"), directory.resolve("nowhere")))
                .isEqualTo("does not exist");
    }

    @Test
    @DisplayName("a symbolic link to a file is followed")
    void link() throws IOException {
        Path file = Files.write(directory.resolve("file"), VALID);
        Path link = Files.createSymbolicLink(directory.resolve("link"), file);
        try (Arena arena = Arena.ofConfined()) {
            assertThat(SafetensorsFile.read(link, arena).tensors()).containsOnlyKeys("t");
        }
    }

    @Test
    @DisplayName("input 49: truncated while it is read")
    void truncatedMeanwhile() throws IOException {
        Path file = Files.write(directory.resolve("shrinking"), VALID);
        try (Arena arena = Arena.ofConfined()) {
            assertThatThrownBy(() -> SafetensorsFile.read(file, interrupted(arena, () -> {
                        try (var channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
                            channel.truncate(VALID.length - 1);
                        }
                    })))
                    .isInstanceOf(SafetensorsException.class)
                    .hasMessage(file + ": ended at byte " + (VALID.length - 1) + " of " + VALID.length
                            + ": it was truncated while it was read");
        }
    }

    @Test
    @DisplayName("input 50: grown while it is read")
    void grownMeanwhile() throws IOException {
        Path file = Files.write(directory.resolve("growing"), VALID);
        try (Arena arena = Arena.ofConfined()) {
            assertThatThrownBy(() -> SafetensorsFile.read(
                            file, interrupted(arena, () -> Files.write(file, new byte[5], StandardOpenOption.APPEND))))
                    .isInstanceOf(SafetensorsException.class)
                    .hasMessage(file + ": changed from " + VALID.length + " to " + (VALID.length + 5)
                            + " bytes while it was read");
        }
    }

    private interface Interruption {
        void run() throws IOException;
    }

    /** An arena whose owner touches the file just when the reader, done with the header, asks for memory for the data. */
    private static Arena interrupted(Arena arena, Interruption interruption) {
        return new Arena() {
            @Override
            public MemorySegment allocate(long bytes, long alignment) {
                try {
                    interruption.run();
                } catch (IOException e) {
                    throw new AssertionError(e);
                }
                return arena.allocate(bytes, alignment);
            }

            @Override
            public MemorySegment.Scope scope() {
                return arena.scope();
            }

            @Override
            public void close() {
                arena.close();
            }
        };
    }

    @Test
    @DisplayName("input 51: a sparse file larger than any memory")
    void sparse() throws IOException {
        Path file = directory.resolve("sparse");
        long data = grow(file, withLength(80, new byte[80]));
        String header = tensor("\"U8\"", "[" + data + "]", "[0," + data + "]");
        try (var channel = FileChannel.open(file, StandardOpenOption.WRITE)) {
            channel.write(
                    ByteBuffer.wrap(withLength(80, (header + " ".repeat(80 - header.length())).getBytes(UTF_8))), 0);
        }
        assertTimeoutPreemptively(
                Duration.ofSeconds(30),
                () -> refused(file)
                        .startsWith("needs " + ((data + 63) & -64)
                                + " bytes of memory for its tensors, this machine has "));
    }

    /** Makes the file as long as its file system lets it be, up to 8 EiB; the number of bytes after the header. */
    private static long grow(Path file, byte[] header) throws IOException {
        try (var sparse = new RandomAccessFile(file.toFile(), "rw")) {
            sparse.write(header);
            for (int bits = 62; bits > 40; bits--) {
                try {
                    sparse.setLength((1L << bits) + header.length);
                    return 1L << bits;
                } catch (IOException tooLong) {
                    // This file system's limit is lower: 16 TiB on ext4, 8 EiB on tmpfs and xfs.
                }
            }
        }
        throw new AssertionError("no sparse file of 2 TiB in " + file);
    }

    @Test
    @DisplayName("input 52: a file without read permission")
    void unreadable() throws Exception {
        Path file = Files.write(directory.resolve("secret"), VALID);
        Files.setPosixFilePermissions(file, PosixFilePermissions.fromString("-w-------"));
        assertThat(OtherUser.problemOf(directory, file)).isEqualTo("is not readable: permission denied");
    }

    @Test
    @DisplayName("input 57: a pickle, bare or in torch.save's archive")
    void pickle() throws IOException {
        refused(directory, "\u0080\u0002}q\0(X\u0003\0\0\0abcq\u0001K\u0001u.".getBytes(ISO_8859_1))
                .startsWith("is a Python pickle; pickle is refused because it can run code");
        refused(directory, "PK\3\4\0\0\b\b\0\0archive/data.pkl".getBytes(ISO_8859_1))
                .startsWith(
                        "is a ZIP archive, as torch.save writes (pickle inside); pickle is refused because it can run code");
    }

    @Test
    @DisplayName("input 58: a Git LFS pointer")
    void lfsPointer() throws IOException {
        refused(
                        directory,
                        ("version https://git-lfs.github.com/spec/v1\noid sha256:" + "4d7a".repeat(16)
                                        + "\nsize 12345\n")
                                .getBytes(UTF_8))
                .isEqualTo("is a Git LFS pointer, not the file itself; fetch it with: git lfs pull");
    }

    @Test
    @DisplayName("other formats are called by their names")
    void otherFormats() throws IOException {
        refused(directory, "GGUF\3\0\0\0\1\0\0\0".getBytes(ISO_8859_1)).isEqualTo("is a GGUF file, not safetensors");
        refused(directory, "\u0093NUMPY\1\0v\0{'descr'".getBytes(ISO_8859_1))
                .isEqualTo("is a NumPy file, not safetensors");
        refused(directory, "\u0089HDF\r\n\u001a\n\0\0\0".getBytes(ISO_8859_1))
                .isEqualTo("is an HDF5 file, not safetensors");
        refused(directory, "<!DOCTYPE html>".getBytes(UTF_8)).startsWith("is an HTML or XML text");
        refused(directory, "{\"a\": 1, \"b\": 2}".getBytes(UTF_8)).startsWith("is a JSON text, not safetensors");
    }

    @Test
    void missing() {
        refused(directory.resolve("nothing")).isEqualTo("does not exist");
        refused(directory.resolve("nothing/below")).isEqualTo("does not exist");
    }
}
