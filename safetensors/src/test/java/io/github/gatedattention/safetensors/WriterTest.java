package io.github.gatedattention.safetensors;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WriterTest {
    @TempDir
    Path directory;

    private static SafetensorsTensor floats(String name, float... values) {
        return new SafetensorsTensor(
                name, SafetensorsType.F32, new long[] {values.length}, MemorySegment.ofArray(values));
    }

    private static SafetensorsTensor bytes(String name, int count) {
        return new SafetensorsTensor(
                name, SafetensorsType.U8, new long[] {count}, MemorySegment.ofArray(new byte[count]));
    }

    private static Map<String, SafetensorsTensor> byName(SafetensorsTensor... tensors) {
        var map = new LinkedHashMap<String, SafetensorsTensor>();
        for (SafetensorsTensor tensor : tensors) {
            map.put(tensor.name(), tensor);
        }
        return map;
    }

    @Test
    void whatIsWrittenIsRead() throws IOException {
        Path file = directory.resolve("file");
        SafetensorsFile.write(
                file,
                byName(bytes("b", 3), floats("a", 1, 2, Float.NEGATIVE_INFINITY)),
                Map.of("z", "1", "a", "line\nbreak \"ü\" 😀"));
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsFile read = SafetensorsFile.read(file, arena);
            assertThat(read.tensors()).containsOnlyKeys("a", "b");
            assertThat(read.metadata()).isEqualTo(Map.of("z", "1", "a", "line\nbreak \"ü\" 😀"));
            SafetensorsTensor a = read.tensors().get("a");
            assertThat(a.dtype()).isEqualTo(SafetensorsType.F32);
            assertThat(a.shape()).containsExactly(3);
            assertThat(a.data().toArray(ValueLayout.JAVA_FLOAT)).containsExactly(1, 2, Float.NEGATIVE_INFINITY);
        }
    }

    @Test
    void contentInMemoryIsReadLikeAFile() throws IOException {
        Path file = directory.resolve("file");
        SafetensorsFile.write(file, byName(floats("a", 1, 2)), Map.of("k", "v"));
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsFile read = SafetensorsFile.read("resource", Files.readAllBytes(file), arena);
            assertThat(read.metadata()).isEqualTo(Map.of("k", "v"));
            assertThat(read.tensors().get("a").data().toArray(ValueLayout.JAVA_FLOAT))
                    .containsExactly(1, 2);
            assertThatThrownBy(() -> SafetensorsFile.read("resource", new byte[3], arena))
                    .isInstanceOf(SafetensorsException.class)
                    .hasMessage("resource: has 3 bytes, the header's length alone takes 8");
        }
    }

    @Test
    void orderOfTheMapDoesNotMatter() throws IOException {
        Path one = directory.resolve("one");
        Path two = directory.resolve("two");
        var metadata = new LinkedHashMap<String, String>();
        metadata.put("x", "1");
        metadata.put("c", "2");
        SafetensorsFile.write(one, byName(bytes("b", 3), floats("a", 1), floats("c", 2)), metadata);
        SafetensorsFile.write(two, byName(floats("c", 2), bytes("b", 3), floats("a", 1)), Map.of("c", "2", "x", "1"));
        assertThat(one).hasSameBinaryContentAs(two);
    }

    @Test
    void dataStartsAtAMultipleOfEightAndEveryTensorIsAligned() throws IOException {
        Path file = directory.resolve("file");
        SafetensorsFile.write(file, byName(bytes("a", 3), floats("b", 1)), Map.of());
        byte[] content = Files.readAllBytes(file);
        long length = ByteBuffer.wrap(content).order(ByteOrder.LITTLE_ENDIAN).getLong();
        assertThat(length % 8).isZero();
        assertThat(new String(content, 8, (int) length, UTF_8).strip())
                .isEqualTo("{\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
                        + "\"a\":{\"dtype\":\"U8\",\"shape\":[3],\"data_offsets\":[4,7]}}");
    }

    @Test
    void aFileThatIsThereIsReplaced() throws IOException {
        Path file = Files.writeString(directory.resolve("file"), "old");
        SafetensorsFile.write(file, byName(bytes("a", 1)), Map.of());
        try (Arena arena = Arena.ofConfined()) {
            assertThat(SafetensorsFile.read(file, arena).tensors()).containsOnlyKeys("a");
        }
        assertNothingBut("file");
    }

    @Test
    void aFailureLeavesTheOldFileAndNothingElse() throws IOException {
        Path file = Files.writeString(directory.resolve("file"), "old");
        SafetensorsTensor closed;
        try (Arena arena = Arena.ofConfined()) {
            closed = new SafetensorsTensor("a", SafetensorsType.U8, new long[] {9}, arena.allocate(9));
        }
        assertThatThrownBy(() -> SafetensorsFile.write(file, byName(closed), Map.of()))
                .isInstanceOf(IllegalStateException.class);
        assertThat(file).hasContent("old");
        assertNothingBut("file");
    }

    private void assertNothingBut(String name) throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            assertThat(files).containsExactly(directory.resolve(name));
        }
    }

    @Test
    void placesThatCannotBeWritten() throws IOException {
        assertThatThrownBy(() -> SafetensorsFile.write(directory, Map.of(), Map.of()))
                .isInstanceOf(SafetensorsException.class)
                .hasMessage(directory + ": is a directory, a file cannot take its place");
        Path nowhere = directory.resolve("no/where");
        assertThatThrownBy(() -> SafetensorsFile.write(nowhere, Map.of(), Map.of()))
                .isInstanceOf(SafetensorsException.class)
                .hasMessage(nowhere + ": cannot be written: " + directory.resolve("no") + " is not a directory");
        assertThatThrownBy(() -> SafetensorsFile.write(Path.of("/"), Map.of(), Map.of()))
                .isInstanceOf(SafetensorsException.class);
    }

    @Test
    void contentThatCannotBeWritten() {
        Path file = directory.resolve("file");
        assertThatThrownBy(() -> SafetensorsFile.write(file, Map.of("x", bytes("y", 1)), Map.of()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("tensor \"y\" is given under the key \"x\"");
        assertThatThrownBy(() -> SafetensorsFile.write(file, byName(bytes("__metadata__", 1)), Map.of()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("tensor name \"__metadata__\" is reserved");
        assertThatThrownBy(() -> SafetensorsFile.write(file, byName(bytes("a\tb", 1)), Map.of()))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("tensor name \"a\\u0009b\" holds the control character U+0009 at position 1");
        assertThatThrownBy(() -> SafetensorsFile.write(file, Map.of(), Map.of("a", "\ud800")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("metadata value \"\\ud800\" holds the lone surrogate U+D800 at position 0");
        assertThatThrownBy(() -> new SafetensorsTensor(
                        "a", SafetensorsType.F32, new long[] {3}, MemorySegment.ofArray(new byte[11])))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("tensor \"a\": F32 of shape [3] takes 12 bytes, data has 11");
        assertThat(file).doesNotExist();
    }
}
