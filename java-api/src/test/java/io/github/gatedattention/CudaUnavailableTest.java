package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.gatedattention.child.CudaProbe;
import io.github.gatedattention.testing.ChildJvm;
import java.io.File;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;

/** Why there is no CUDA device, in a sentence; the CPU computes as before. */
@DisabledIfSystemProperty(named = "ga.native", matches = "false")
class CudaUnavailableTest {
    private static final Path BUILT = Path.of("../build/native/libgatedattention_cuda.so");
    private static final Path PACKED = Path.of("../native/target/library/linux-x86_64-cuda13");

    @Test
    void theNamedLibraryIsMissing() {
        ChildJvm.Result result = probe("-Dgatedattention.cuda.library=/nonexistent/libgatedattention_cuda.so");
        assertThat(result.output())
                .contains(
                        "gatedattention.cuda.library is \"/nonexistent/libgatedattention_cuda.so\", which does not exist",
                        "status: UNAVAILABLE");
    }

    @Test
    void theNamedLibraryIsSomethingElse() {
        ChildJvm.Result result = probe("-Dgatedattention.cuda.library=" + Path.of("/proc/self/status"));
        assertThat(result.output()).contains("status: UNAVAILABLE");
    }

    @Test
    void theJarIsMissing() {
        // Beside a library that is named lies the other one, if any.
        assumeTrue(System.getProperty("gatedattention.library") == null, "gatedattention.library is set");
        ChildJvm.Result result = probe("-Dgatedattention.cuda.library=");
        assertThat(result.output()).containsPattern("linux-x86_64-cuda13|Linux on x86-64 alone");
        assertThat(result.output()).contains("status: UNAVAILABLE");
    }

    /** Where there is a device the library says nothing: then the tests on a GPU take over. */
    @Test
    void theRealLibraryLoadsAndNamesWhatIsMissing() {
        assumeTrue(Files.isRegularFile(BUILT), () -> "no " + BUILT + ": nvcc has not built the library");
        ChildJvm.Result result =
                probe("-Dgatedattention.cuda.library=" + BUILT.toAbsolutePath().normalize());
        assertThat(result.output()).containsPattern("reason: (null|.*NVIDIA driver)");
    }

    /** From its JAR: written, opened, deleted, and still found for the second device. */
    @Test
    void thePackedLibraryLoadsAndNamesWhatIsMissing() {
        assumeTrue(Files.isDirectory(PACKED), () -> "no " + PACKED + ": -Dnative.cuda did not ask for it");
        for (String extract : List.of("file", "memfd")) {
            ChildJvm.Result result = ChildJvm.runWithClassPath(
                    System.getProperty("java.class.path") + File.pathSeparator + PACKED,
                    List.of("-Dgatedattention.cuda.library=", "-Dgatedattention.extract=" + extract),
                    CudaProbe.class);
            assertThat(result.exit()).as(result.output()).isZero();
            assertThat(result.output())
                    .containsPattern("reason: (null|.*NVIDIA driver)")
                    .containsPattern("again: (null|.*NVIDIA driver|.*device_index)")
                    .contains("computed 1.0 on cpu");
        }
    }

    private static ChildJvm.Result probe(String option) {
        ChildJvm.Result result = ChildJvm.run(List.of(option), CudaProbe.class);
        assertThat(result.exit()).as(result.output()).isZero();
        assertThat(result.output()).contains("computed 1.0 on cpu").doesNotContain("\tat ");
        return result;
    }
}
