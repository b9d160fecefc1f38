package io.github.gatedattention.bindings;

import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.gatedattention.bindings.probe.StateProbe;
import java.io.IOException;
import java.nio.file.Path;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Directories on real file systems that are noexec, full or read-only. {@link ExtractionTest} and
 * {@link LoadingInItsOwnJvmTest} play the same where a machine allows no mounts.
 */
class MountedDirectoryTest {

    @TempDir
    private Path directory;

    @BeforeAll
    static void mountsArePossible(@TempDir Path scratch) throws InterruptedException {
        String problem = Namespace.problem(Namespace.tmpfs(scratch, "size=8k"));
        assumeTrue(problem.isEmpty(), problem);
    }

    @Test
    void refusesANoexecDirectory() throws Exception {
        LoadingInItsOwnJvmTest.assertRefused(
                mounted("noexec,mode=700", "file"),
                Refusal.NOEXEC_DIRECTORY,
                "The directory " + directory + " is on a file system mounted noexec; name another one by");
    }

    @Test
    void refusesAFullDisk() throws Exception {
        LoadingInItsOwnJvmTest.assertRefused(
                mounted("size=8k,mode=700", "file"),
                Refusal.NO_SPACE,
                "The directory " + directory + " has 8192 bytes free, but the library needs "
                        + Libraries.real().length);
    }

    @Test
    void refusesAReadOnlyDirectory() throws Exception {
        LoadingInItsOwnJvmTest.assertRefused(
                mounted("ro,mode=700", "file"),
                Refusal.UNUSABLE_DIRECTORY,
                "The directory " + directory + " is read-only for this process; name another one by");
    }

    @Test
    void goesThroughMemoryInstead() throws Exception {
        for (String options : new String[] {"noexec,mode=700", "size=8k,mode=700", "ro,mode=700"}) {
            LoadingInItsOwnJvmTest.assertLoaded(mounted(options, "auto"), LoadMethod.SEALED_MEMORY);
        }
    }

    private ChildJvm.Result mounted(String options, String extract) throws IOException, InterruptedException {
        return ChildJvm.granted()
                .through(Namespace.tmpfs(directory, options))
                .property(NativeLibrary.DIRECTORY_PROPERTY, directory)
                .property(NativeLibrary.EXTRACT_PROPERTY, extract)
                .run(StateProbe.class);
    }
}
