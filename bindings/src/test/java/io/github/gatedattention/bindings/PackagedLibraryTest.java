package io.github.gatedattention.bindings;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.nio.file.Path;
import java.util.Arrays;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The library inside a JAR: loaded when it is the expected one, bit for bit, and not otherwise. */
class PackagedLibraryTest {

    @TempDir
    private Path directory;

    private TestEnvironment environment;
    private byte[] real;

    @BeforeEach
    void prepare() throws IOException {
        real = Libraries.real();
        environment = new TestEnvironment().property(NativeLibrary.DIRECTORY_PROPERTY, directory);
    }

    @Test
    void loadsAndLeavesNothingBehind() {
        NativeLibrary.Loaded loaded = environment.packaged(real).loaded();
        assertThat(loaded)
                .isEqualTo(new NativeLibrary.Loaded("a.jar!/lib.so", Sha256.of(real), 1, LoadMethod.EXTRACTED_FILE));
        assertThat(directory).isEmptyDirectory();
    }

    @Test
    void refusesATruncatedLibrary() {
        byte[] half = Arrays.copyOf(real, real.length / 2);
        refuse(
                environment.expected(Libraries.classifier(), Sha256.of(real)).resource("b.jar!/lib.so", () -> half),
                half);
    }

    @Test
    void refusesOneFlippedBit() {
        byte[] flipped = real.clone();
        flipped[flipped.length / 3] ^= 0x10;
        refuse(
                environment.expected(Libraries.classifier(), Sha256.of(real)).resource("b.jar!/lib.so", () -> flipped),
                flipped);
    }

    private void refuse(TestEnvironment prepared, byte[] wrong) {
        NativeLibrary.Refused refused = prepared.refused();
        assertThat(refused.refusal()).isEqualTo(Refusal.HASH_MISMATCH);
        assertThat(refused.message())
                .isEqualTo("The native library b.jar!/lib.so has the SHA-256 " + Sha256.of(wrong)
                        + ", but these bindings expect " + Sha256.of(real)
                        + "; use gated-attention-bindings and gated-attention-native of the same version, unchanged.");
        assertThat(prepared.loadedPaths()).isEmpty();
        assertThat(directory).isEmptyDirectory();
    }

    @Test
    void prefersTheRightOneAmongSeveral() {
        environment.resource("old.jar!/lib.so", () -> new byte[] {1, 2, 3});
        assertThat(environment.packaged(real).loaded().origin()).isEqualTo("a.jar!/lib.so");
    }

    @Test
    void saysWhichJarIsMissing() {
        environment.expected(Libraries.classifier(), Sha256.of(real));
        assertThat(environment.refused())
                .isEqualTo(new NativeLibrary.Refused(
                        Refusal.NOT_PACKAGED,
                        "No JAR with the native library for " + Libraries.classifier()
                                + " is on the class path or module path; add io.github.gatedattention:gated-attention-native"
                                + " with the classifier " + Libraries.classifier() + " as a runtime dependency."));
    }

    @Test
    void saysThatTheBindingsWereBuiltWithoutThisPlatform() {
        NativeLibrary.Refused refused = environment.refused();
        assertThat(refused.refusal()).isEqualTo(Refusal.NOT_PACKAGED);
        assertThat(refused.message())
                .startsWith("These bindings were built without a library for " + Libraries.classifier())
                .endsWith("name it by -Dgatedattention.library=PATH.");
    }

    @Test
    void refusesAJarThatCannotBeRead() {
        environment.expected(Libraries.classifier(), Sha256.of(real)).resource("broken.jar!/lib.so", () -> {
            throw new IOException("invalid LOC header");
        });
        NativeLibrary.Refused refused = environment.refused();
        assertThat(refused.refusal()).isEqualTo(Refusal.UNREADABLE);
        assertThat(refused.message())
                .isEqualTo(
                        "The native library broken.jar!/lib.so cannot be read (java.io.IOException: invalid LOC header);"
                                + " download or build that JAR again.");
    }

    @Test
    void refusesAnUnknownWayOfExtraction() {
        environment.packaged(real).property(NativeLibrary.EXTRACT_PROPERTY, "home");
        assertThat(environment.refused())
                .isEqualTo(new NativeLibrary.Refused(
                        Refusal.INVALID_PROPERTY,
                        "The system property gatedattention.extract is \"home\"; it must be auto, file or memfd."));
    }

    @Test
    void reportsADefectInsteadOfThrowing() {
        environment.packaged(real).onLoad(path -> {
            throw new StackOverflowError("played");
        });
        NativeLibrary.Refused refused = environment.refused();
        assertThat(refused.refusal()).isEqualTo(Refusal.UNEXPECTED);
        assertThat(refused.message())
                .isEqualTo(
                        "Loading the native library failed with java.lang.StackOverflowError: played; please report it, and"
                                + " use the Java backend meanwhile.");
        assertThat(directory).isEmptyDirectory();
    }

    @Test
    void theBindingsKnowTheLibraryTheyAreTestedWith() {
        assertThat(LoaderEnvironment.ofThisJvm().expected()).containsEntry(Libraries.classifier(), Sha256.of(real));
    }
}
