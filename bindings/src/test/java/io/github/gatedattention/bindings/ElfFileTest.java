package io.github.gatedattention.bindings;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatCode;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.SplittableRandom;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;

/** What a file must be before the operating system may map it. */
class ElfFileTest {

    private static final int SHARED_OBJECT_TYPE = 16;
    private static final int MACHINE = 18;
    private static final int PROGRAM_HEADERS = 32;
    private static final int CHECKED_BYTES = 64 + 8 * 56; // the header and the program headers

    private static byte[] real;

    @BeforeAll
    static void read() throws IOException {
        real = Libraries.real();
    }

    @Test
    void acceptsTheRealLibrary() {
        assertThatCode(() -> ElfFile.check("It", real, Libraries.machine())).doesNotThrowAnyException();
    }

    @Test
    void refusesEveryShorterFile() {
        SplittableRandom random = new SplittableRandom(71);
        for (int i = 0; i < 300; i++) {
            int length = i < 128 ? i : i == 128 ? real.length - 1 : random.nextInt(128, real.length);
            RefusedException refused = refuse(Arrays.copyOf(real, length));
            assertThat(refused.refusal())
                    .as("first %d bytes", length)
                    .isEqualTo(length == 0 ? Refusal.NOT_A_LIBRARY : Refusal.TRUNCATED);
        }
    }

    @Test
    void saysHowMuchIsMissing() {
        assertThat(refuse(Arrays.copyOf(real, 40)))
                .hasMessage(
                        "It is cut short: it has 40 bytes, but its header would end at byte 64; copy or build it again.");
        assertThat(refuse(Arrays.copyOf(real, real.length - 1)))
                .hasMessageStartingWith("It is cut short: it has " + (real.length - 1)
                        + " bytes, but its section headers would" + " end at byte ");
    }

    @Test
    void refusesText() {
        RefusedException refused = refuse("#!/bin/sh\necho never\n".getBytes(StandardCharsets.UTF_8));
        assertThat(refused.refusal()).isEqualTo(Refusal.NOT_A_LIBRARY);
        assertThat(refused)
                .hasMessage(
                        "It begins with \"#!/bin/sh.echo n\" instead of the four bytes 7f 45 4c 46 of an ELF file; name the"
                                + " libgatedattention.so of this machine.");
    }

    @Test
    void refusesAnEmptyFile() {
        assertThat(refuse(new byte[0])).hasMessage("It is empty; name the libgatedattention.so of this machine.");
    }

    @Test
    void refusesAnotherProcessor() {
        boolean x86 = Libraries.machine() == ElfMachine.X86_64;
        RefusedException refused = refuse(patched(MACHINE, x86 ? ElfMachine.AARCH64.code() : ElfMachine.X86_64.code()));
        assertThat(refused.refusal()).isEqualTo(Refusal.WRONG_ARCHITECTURE);
        assertThat(refused)
                .hasMessage(
                        x86
                                ? "It is for 64-bit ARM (aarch64), but this JVM runs on x86-64; name a library built for this"
                                        + " machine."
                                : "It is for x86-64, but this JVM runs on 64-bit ARM (aarch64); name a library built for this"
                                        + " machine.");
        assertThat(refuse(patched(MACHINE, 243))).hasMessageContaining("is for RISC-V,");
        assertThat(refuse(patched(MACHINE, 77))).hasMessageContaining("is for ELF machine 77,");
    }

    @Test
    void refusesThirtyTwoBitsAndBigEndian() {
        RefusedException refused = refuse(patched(4, 1));
        assertThat(refused.refusal()).isEqualTo(Refusal.WRONG_ARCHITECTURE);
        assertThat(refused)
                .hasMessage(
                        "It is a 32-bit little-endian library, but this JVM needs a 64-bit little-endian one; name a library"
                                + " built for this machine.");
        assertThat(refuse(patched(5, 2))).hasMessageContaining("is a 64-bit big-endian library");
    }

    @Test
    void refusesAnExecutableAndAnObjectFile() {
        assertThat(refuse(patched(SHARED_OBJECT_TYPE, 1)))
                .hasMessageContaining("is an ELF file of type 1 instead of 3, a shared library");
        assertThat(refuse(patched(SHARED_OBJECT_TYPE, 2)).refusal()).isEqualTo(Refusal.NOT_A_LIBRARY);
    }

    @Test
    void refusesOffsetsThatWrapAround() {
        byte[] file = real.clone();
        Arrays.fill(file, PROGRAM_HEADERS, PROGRAM_HEADERS + 8, (byte) 0xff);
        assertThat(refuse(file))
                .hasMessageContaining("places its program headers at byte 18446744073709551615 with ")
                .hasMessageContaining("which no file can hold");
    }

    /** Whatever the header holds, the answer is a refusal or none: never another exception. */
    @Test
    void survivesAnyHeader() {
        long seed = 72;
        SplittableRandom random = new SplittableRandom(seed);
        byte[] file = real.clone();
        for (int i = 0; i < 10_000; i++) {
            int flips = random.nextInt(1, 4);
            for (int flip = 0; flip < flips; flip++) {
                file[random.nextInt(CHECKED_BYTES)] ^= (byte) (1 << random.nextInt(8));
            }
            try {
                ElfFile.check("It", file, Libraries.machine());
            } catch (RefusedException refused) {
                if (!refused.sentence().matches("It .*\\.")) {
                    throw new AssertionError("seed " + seed + ", case " + i + ": " + refused.sentence());
                }
            }
            System.arraycopy(real, 0, file, 0, CHECKED_BYTES);
        }
    }

    private static RefusedException refuse(byte[] file) {
        return catchThrowableOfType(RefusedException.class, () -> ElfFile.check("It", file, Libraries.machine()));
    }

    private static byte[] patched(int offset, int value) {
        byte[] file = real.clone();
        file[offset] = (byte) value;
        return file;
    }
}
