package io.github.gatedattention.bindings;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Locale;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The platform that this JVM was built for.
 *
 * @param system the operating system, as {@code os.name} has it
 * @param architecture the processor, as {@code os.arch} has it
 * @param musl whether this process runs on musl instead of glibc
 */
record Platform(String system, String architecture, boolean musl) {

    /** Every mapped file of this process, one per line, its C library among them. */
    private static final Path MAPPED_FILES = Path.of("/proc/self/maps");

    static Platform ofThisJvm() {
        return new Platform(System.getProperty("os.name"), System.getProperty("os.arch"), mapsMusl(MAPPED_FILES));
    }

    /** True when the process whose mapped files are listed was started by musl's dynamic linker. */
    static boolean mapsMusl(Path mappedFiles) {
        try (Stream<String> lines = Files.lines(mappedFiles, StandardCharsets.ISO_8859_1)) {
            return lines.anyMatch(line -> line.contains("/ld-musl-"));
        } catch (IOException | UncheckedIOException absent) {
            return false; // no /proc: then System.load tells
        }
    }

    /** The name of the packaged library's JAR for this platform, in os-maven-plugin's spelling. */
    String classifier() throws RefusedException {
        String classifier = classifierOrNull();
        if (classifier == null) {
            throw new RefusedException(
                    Refusal.UNSUPPORTED_PLATFORM,
                    "There is no native library for " + system + " on " + architecture
                            + ", only for Linux on x86-64 (amd64) and 64-bit ARM (aarch64); use the Java backend.");
        }
        if (musl) {
            throw new RefusedException(
                    Refusal.MUSL,
                    "This JVM runs on musl, as on Alpine Linux, but the native library needs glibc; run a JDK for glibc, for"
                            + " example in a Debian image, or use the Java backend.");
        }
        return classifier;
    }

    /** The machine that a library must be for. */
    ElfMachine machine() throws RefusedException {
        return classifier().equals("linux-x86_64") ? ElfMachine.X86_64 : ElfMachine.AARCH64;
    }

    private @Nullable String classifierOrNull() {
        if (!system.equals("Linux")) {
            return null;
        }
        return switch (architecture.toLowerCase(Locale.ROOT)) {
            case "amd64", "x86_64" -> "linux-x86_64";
            case "aarch64" -> "linux-aarch_64";
            default -> null;
        };
    }
}
