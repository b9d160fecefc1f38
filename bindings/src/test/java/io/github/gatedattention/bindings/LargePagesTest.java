package io.github.gatedattention.bindings;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;

class LargePagesTest {
    private static final long BYTES = 16 << 20;

    @Test
    void linuxIsAdvisedAndTheMemoryStaysAsItIs() throws IOException {
        assumeTrue(
                Files.exists(Path.of("/sys/kernel/mm/transparent_hugepage/enabled")), "this system has no large pages");
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocate(BYTES, LargePages.BYTES);
            for (long i = 0; i < BYTES; i += 4096) {
                memory.set(ValueLayout.JAVA_LONG, i, i + 1);
            }
            assertThat(LargePages.suit(BYTES)).isTrue();
            LargePages.advise(memory);
            for (long i = 0; i < BYTES; i += 4096) {
                assertThat(memory.get(ValueLayout.JAVA_LONG, i)).isEqualTo(i + 1);
            }
            assertThat(flagsOf(memory.address() + LargePages.BYTES)).contains(" hg");
        }
    }

    @Test
    void memoryTooSmallForOneIsLeftAlone() {
        assertThat(LargePages.suit(LargePages.BYTES)).isFalse();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment memory = arena.allocate(4096, 4096);
            LargePages.advise(memory);
            assertThat(memory.byteSize()).isEqualTo(4096);
        }
    }

    /** The VmFlags of the mapping that holds the address; "hg" stands for the advice. */
    private static String flagsOf(long address) throws IOException {
        List<String> lines = Files.readAllLines(Path.of("/proc/self/smaps"));
        boolean inside = false;
        for (String line : lines) {
            if (line.matches("[0-9a-f]+-[0-9a-f]+ .*")) {
                String[] range = line.split("[- ]");
                inside = Long.compareUnsigned(Long.parseUnsignedLong(range[0], 16), address) <= 0
                        && Long.compareUnsigned(address, Long.parseUnsignedLong(range[1], 16)) < 0;
            } else if (inside && line.startsWith("VmFlags:")) {
                return line;
            }
        }
        throw new AssertionError("no mapping holds " + Long.toHexString(address));
    }
}
