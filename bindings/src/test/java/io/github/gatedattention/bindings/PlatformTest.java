package io.github.gatedattention.bindings;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** Which platforms have a library, and what the others are told. */
class PlatformTest {

    @ParameterizedTest
    @CsvSource({"Linux,amd64,linux-x86_64", "Linux,x86_64,linux-x86_64", "Linux,aarch64,linux-aarch_64"})
    void knowsItsClassifier(String system, String architecture, String classifier) throws Exception {
        assertThat(new Platform(system, architecture, false).classifier()).isEqualTo(classifier);
    }

    @ParameterizedTest
    @CsvSource({"Mac OS X,aarch64", "Windows 11,amd64", "Linux,riscv64", "Linux,i386", "Linux,ppc64le"})
    void refusesOtherPlatforms(String system, String architecture) {
        assertThat(new TestEnvironment()
                        .platform(new Platform(system, architecture, false))
                        .refused())
                .isEqualTo(
                        new NativeLibrary.Refused(
                                Refusal.UNSUPPORTED_PLATFORM,
                                "There is no native library for " + system + " on " + architecture
                                        + ", only for Linux on x86-64 (amd64) and 64-bit ARM (aarch64); use the Java backend."));
    }

    @Test
    void refusesMusl() {
        assertThat(new TestEnvironment()
                        .platform(new Platform("Linux", "amd64", true))
                        .refused())
                .isEqualTo(new NativeLibrary.Refused(
                        Refusal.MUSL,
                        "This JVM runs on musl, as on Alpine Linux, but the native library needs glibc; run a JDK for glibc,"
                                + " for example in a Debian image, or use the Java backend."));
    }

    @Test
    void recognizesMuslByItsDynamicLinker(@TempDir Path directory) throws Exception {
        Path alpine = Files.writeString(directory.resolve("alpine"), """
                55d0a0a00000-55d0a0a01000 r-xp 00000000 fe:00 131  /usr/lib/jvm/java-25-openjdk/bin/java
                7f2b8c000000-7f2b8c014000 r--p 00000000 fe:00 220  /lib/ld-musl-x86_64.so.1
                """);
        Path debian = Files.writeString(directory.resolve("debian"), """
                55d0a0a00000-55d0a0a01000 r-xp 00000000 fe:00 131  /usr/lib/jvm/java-25-openjdk/bin/java
                7f2b8c000000-7f2b8c014000 r--p 00000000 fe:00 220  /usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2
                """);
        assertThat(Platform.mapsMusl(alpine)).isTrue();
        assertThat(Platform.mapsMusl(debian)).isFalse();
        assertThat(Platform.mapsMusl(directory.resolve("no proc"))).isFalse();
    }
}
