package io.github.gatedattention.bindings;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.RandomAccessFile;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Locale;
import java.util.OptionalInt;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The library that a system property names: every refusal happens before anything is loaded. */
class NamedLibraryTest {

    @TempDir
    private Path directory;

    private final TestEnvironment environment = new TestEnvironment();

    @Test
    void loadsInPlace() throws Exception {
        Path library = Libraries.realFile(directory);
        NativeLibrary.Loaded loaded = name(library).loaded();
        assertThat(loaded.method()).isEqualTo(LoadMethod.IN_PLACE);
        assertThat(loaded.origin()).isEqualTo(library.toString());
        assertThat(loaded.sha256()).isEqualTo(Sha256.of(Libraries.real()));
        assertThat(loaded.describe())
                .isEqualTo("loaded from " + library + " in place (SHA-256 " + loaded.sha256() + ", ABI version 1)");
        assertThat(environment.loadedPaths()).containsExactly(library.toString());
        assertThat(library).exists();
    }

    @Test
    void takesARelativePath() throws Exception {
        Path library = Libraries.realFile(directory);
        Path relative = Path.of("").toAbsolutePath().relativize(library);
        name(relative).loaded();
        assertThat(Path.of(environment.loadedPaths().getFirst()).normalize()).isEqualTo(library);
    }

    @Test
    void refusesATruncatedLibrary() throws Exception {
        Path library = directory.resolve("short.so");
        byte[] real = Libraries.real();
        Files.write(library, Arrays.copyOf(real, real.length / 2));
        refuse(
                library,
                Refusal.TRUNCATED,
                "The file " + library + ", named by the system property gatedattention.library, is cut short: it has "
                        + real.length / 2 + " bytes, but ");
    }

    @Test
    void refusesOneFlippedBitWhereTheHashIsKnown() throws Exception {
        byte[] real = Libraries.real();
        String good = Sha256.of(real);
        real[real.length / 2] ^= 1;
        Path library = Files.write(directory.resolve("flipped.so"), real);
        environment.property(NativeLibrary.LIBRARY_SHA256_PROPERTY, good);
        refuse(
                library,
                Refusal.HASH_MISMATCH,
                "The file " + library + ", named by the system property gatedattention.library, has the SHA-256 "
                        + Sha256.of(real) + ", but the system property gatedattention.library.sha256 expects " + good
                        + "; get the right file, or the right hash.");
    }

    @Test
    void acceptsTheHashInUpperCase() throws Exception {
        environment.property(
                NativeLibrary.LIBRARY_SHA256_PROPERTY,
                Sha256.of(Libraries.real()).toUpperCase(Locale.ROOT));
        name(Libraries.realFile(directory)).loaded();
    }

    @Test
    void refusesAnotherProcessor() throws Exception {
        byte[] real = Libraries.real();
        real[18] = (byte) 243;
        Path library = Files.write(directory.resolve("riscv.so"), real);
        refuse(library, Refusal.WRONG_ARCHITECTURE, "is for RISC-V, but this JVM runs on ");
    }

    @Test
    void refusesText() throws Exception {
        Path library = Files.writeString(directory.resolve("script.so"), "/* GNU ld script */\nGROUP ( libx.so.6 )\n");
        refuse(library, Refusal.NOT_A_LIBRARY, "begins with \"/* GNU ld script\" instead of the four bytes");
    }

    @Test
    void refusesAMissingFile() {
        Path library = directory.resolve("missing.so");
        refuse(
                library,
                Refusal.NOT_FOUND,
                "The system property gatedattention.library is \"" + library
                        + "\", which does not exist; name an existing library or leave it away.");
    }

    @Test
    void refusesADanglingLink() throws Exception {
        Path library = Files.createSymbolicLink(directory.resolve("link.so"), directory.resolve("nowhere"));
        refuse(library, Refusal.NOT_FOUND, "which is a symbolic link to nothing");
    }

    @Test
    void refusesADirectory() {
        refuse(directory, Refusal.UNREADABLE, "which is a directory; name the library file itself.");
    }

    @Test
    void refusesADeviceThatNeverEnds() {
        refuse(Path.of("/dev/zero"), Refusal.UNREADABLE, "which is a special file; name the library file itself.");
    }

    @Test
    void refusesAnEnormousFile() throws Exception {
        Path library = directory.resolve("sparse.so");
        try (var file = new RandomAccessFile(library.toFile(), "rw")) {
            file.setLength(1L << 40);
        }
        refuse(
                library,
                Refusal.NOT_A_LIBRARY,
                "has 1099511627776 bytes, more than the 1073741824 that a library can have");
    }

    @Test
    void refusesABlankNameAndNoPath() {
        refuse("  ", Refusal.INVALID_PROPERTY, "which is blank; name a library or leave it away.");
        refuse("a\0b", Refusal.INVALID_PROPERTY, "which is no path: ");
    }

    @Test
    void refusesALibraryOfAnotherProject() throws Exception {
        environment.abiVersion(OptionalInt.empty());
        Path library = Libraries.realFile(directory);
        assertThat(name(library).refused())
                .isEqualTo(new NativeLibrary.Refused(
                        Refusal.FOREIGN_LIBRARY,
                        library + " exports no function ga_abi_version, so it is no gated attention library; name the"
                                + " libgatedattention.so of this version."));
    }

    @Test
    void refusesWhatTheSystemCannotLink() throws Exception {
        environment.onLoad(path -> {
            throw new UnsatisfiedLinkError(path + ": version `GLIBC_9.99' not found");
        });
        Path library = Libraries.realFile(directory);
        NativeLibrary.Refused refused = name(library).refused();
        assertThat(refused.refusal()).isEqualTo(Refusal.LINK_FAILED);
        assertThat(refused.message())
                .isEqualTo("The operating system does not load " + library + ": " + library
                        + ": version `GLIBC_9.99' not found; if a symbol version such as GLIBC_2.17 is missing, this system is"
                        + " older than the library.");
    }

    @Test
    void loadsACopyWhenAnotherClassLoaderHasTheFile() throws Exception {
        Path library = Libraries.realFile(directory);
        environment.property(NativeLibrary.DIRECTORY_PROPERTY, directory).onLoad(path -> {
            if (path.equals(library.toString())) {
                throw new UnsatisfiedLinkError("Native Library " + path + " already loaded in another classloader");
            }
        });
        assertThat(name(library).loaded().method()).isEqualTo(LoadMethod.EXTRACTED_FILE);
        assertThat(environment.loadedPaths()).hasSize(2);
        assertThat(directory).isDirectoryContaining("glob:**/libgatedattention.so");
        assertThat(directory.toFile().list()).hasSize(1);
    }

    @Test
    void tellsBothReasonsWhenThatCopyFailsToo() throws Exception {
        environment
                .property(NativeLibrary.DIRECTORY_PROPERTY, directory.resolve("missing"))
                .property(NativeLibrary.EXTRACT_PROPERTY, "file")
                .onLoad(path -> {
                    throw new UnsatisfiedLinkError("Native Library " + path + " already loaded in another classloader");
                });
        Path library = Libraries.realFile(directory);
        NativeLibrary.Refused refused = name(library).refused();
        assertThat(refused.refusal()).isEqualTo(Refusal.OTHER_CLASS_LOADER);
        assertThat(refused.message())
                .startsWith("Another class loader of this JVM has loaded " + library
                        + " already; put the bindings into a class loader that both parts share. The directory "
                        + directory.resolve("missing") + " does not exist; ");
    }

    private TestEnvironment name(Object library) {
        return environment.property(NativeLibrary.LIBRARY_PROPERTY, library);
    }

    private void refuse(Object library, Refusal refusal, String message) {
        NativeLibrary.Refused refused = name(library).refused();
        assertThat(refused.message()).contains(message).endsWith(".");
        assertThat(refused.refusal()).isEqualTo(refusal);
        assertThat(environment.loadedPaths()).isEmpty();
    }
}
