package io.github.gatedattention.bindings;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.jupiter.api.Test;

/** The memory file that holds a library. */
class SealedMemoryTest {

    private final byte[] bytes = {1, 2, 3, 5, 8, 13};

    @Test
    void holdsTheBytes() throws Exception {
        assertThat(SealedMemory.create(new LibraryImage("test", bytes))).hasBinaryContent(bytes);
    }

    @Test
    void cannotBeChanged() throws Exception {
        Path memory = SealedMemory.create(new LibraryImage("test", bytes));
        assertThatThrownBy(() -> Files.write(memory, new byte[] {9}, StandardOpenOption.WRITE))
                .isInstanceOf(IOException.class);
        assertThatThrownBy(() -> Files.write(memory, new byte[] {9}, StandardOpenOption.APPEND))
                .isInstanceOf(IOException.class);
        assertThatThrownBy(() ->
                        Files.newByteChannel(memory, StandardOpenOption.WRITE, StandardOpenOption.TRUNCATE_EXISTING))
                .isInstanceOf(IOException.class);
        assertThat(memory).hasBinaryContent(bytes);
    }

    /** The dynamic linker tells libraries apart by name, so no name may come twice. */
    @Test
    void everyOneHasItsOwnName() throws Exception {
        assertThat(SealedMemory.create(new LibraryImage("test", bytes)))
                .isNotEqualTo(SealedMemory.create(new LibraryImage("test", bytes)));
    }
}
