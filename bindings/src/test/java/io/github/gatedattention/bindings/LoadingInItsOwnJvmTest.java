package io.github.gatedattention.bindings;

import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assumptions.assumeTrue;

import io.github.gatedattention.bindings.probe.LoadersProbe;
import io.github.gatedattention.bindings.probe.StateProbe;
import io.github.gatedattention.bindings.probe.ThreadsProbe;
import io.github.gatedattention.bindings.probe.UnloadProbe;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Real loading, each time in a JVM that may die of it. */
class LoadingInItsOwnJvmTest {

    @TempDir
    private Path directory;

    @Test
    void loadsThroughAFile() throws Exception {
        ChildJvm.Result result =
                child().property(NativeLibrary.EXTRACT_PROPERTY, "file").run(StateProbe.class);
        assertLoaded(result, LoadMethod.EXTRACTED_FILE);
        assertThat(result.value("sha256")).isEqualTo(Sha256.of(Libraries.real()));
        assertThat(result.value("origin")).endsWith(Libraries.resource());
        assertThat(directory).isEmptyDirectory();
    }

    @Test
    void loadsThroughMemory() throws Exception {
        assertLoaded(
                child().property(NativeLibrary.EXTRACT_PROPERTY, "memfd").run(StateProbe.class),
                LoadMethod.SEALED_MEMORY);
        assertThat(directory).isEmptyDirectory();
    }

    @Test
    void loadsTheNamedLibrary() throws Exception {
        Path library = Libraries.realFile(directory);
        ChildJvm.Result result =
                child().property(NativeLibrary.LIBRARY_PROPERTY, library).run(StateProbe.class);
        assertLoaded(result, LoadMethod.IN_PLACE);
        assertThat(result.value("origin")).isEqualTo(library.toString());
    }

    @Test
    void survivesATruncatedLibrary() throws Exception {
        byte[] real = Libraries.real();
        Path library = Files.write(directory.resolve("short.so"), Arrays.copyOf(real, real.length * 2 / 3));
        assertRefused(
                child().property(NativeLibrary.LIBRARY_PROPERTY, library).run(StateProbe.class),
                Refusal.TRUNCATED,
                "is cut short");
    }

    @Test
    void refusesAnOlderAndANewerAbi() throws Exception {
        for (int version : new int[] {0, 2}) {
            Path library = Libraries.stub(directory, "int ga_abi_version(void) { return " + version + "; }\n");
            ChildJvm.Result result =
                    child().property(NativeLibrary.LIBRARY_PROPERTY, library).run(StateProbe.class);
            assertRefused(
                    result,
                    Refusal.ABI_MISMATCH,
                    library + " has the ABI version " + version + ", " + (version == 0 ? "older" : "newer")
                            + " than the 1 of these bindings; use a library and bindings of the same release.");
        }
    }

    @Test
    void refusesALibraryOfAnotherProject() throws Exception {
        Path library = Libraries.stub(directory, "int answer(void) { return 42; }\n");
        assertRefused(
                child().property(NativeLibrary.LIBRARY_PROPERTY, library).run(StateProbe.class),
                Refusal.FOREIGN_LIBRARY,
                library + " exports no function ga_abi_version");
    }

    @Test
    void refusesALibraryWithAnUnknownDependency() throws Exception {
        Path library = Libraries.stub(
                directory, "int missing_function(void);\nint ga_abi_version(void) { return missing_function(); }\n");
        // Found at load time only when the library asks for it; the JVM loads lazily, so the stub is bound eagerly
        // here.
        ChildJvm.Result result = child().property(NativeLibrary.LIBRARY_PROPERTY, library)
                .through(List.of("env", "LD_BIND_NOW=1"))
                .run(StateProbe.class);
        assertRefused(result, Refusal.LINK_FAILED, "missing_function");
    }

    @Test
    void refusesWithoutNativeAccess() throws Exception {
        ChildJvm.Result result = ChildJvm.plain()
                .option("--illegal-native-access=deny")
                .property(NativeLibrary.DIRECTORY_PROPERTY, directory)
                .run(StateProbe.class);
        assertRefused(result, Refusal.NATIVE_ACCESS_DENIED, "start it with --enable-native-access=ALL-UNNAMED.");
        assertThat(result.value("granted")).isEqualTo("false");
        assertThat(directory).isEmptyDirectory();
    }

    @Test
    void refusesMemoryWithoutNativeAccess() throws Exception {
        assertRefused(
                ChildJvm.plain()
                        .option("--illegal-native-access=deny")
                        .property(NativeLibrary.EXTRACT_PROPERTY, "memfd")
                        .run(StateProbe.class),
                Refusal.NATIVE_ACCESS_DENIED,
                "start it with --enable-native-access=ALL-UNNAMED.");
    }

    @Test
    void answersEveryThreadAlike() throws Exception {
        ChildJvm.Result result = child().run(ThreadsProbe.class);
        assertLoaded(result, LoadMethod.EXTRACTED_FILE);
        assertThat(result.value("answers")).isEqualTo("1");
        assertThat(directory).isEmptyDirectory();
    }

    @Test
    void processesThatLoadAtOnceDoNotMeet() throws Exception {
        List<ChildJvm.Started> children = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            children.add(
                    child().property(NativeLibrary.EXTRACT_PROPERTY, "file").start(StateProbe.class));
        }
        for (ChildJvm.Started started : children) {
            assertLoaded(ChildJvm.finish(started), LoadMethod.EXTRACTED_FILE);
        }
        assertThat(directory).isEmptyDirectory();
    }

    @Test
    void loadsOncePerClassLoader() throws Exception {
        for (String extract : List.of("file", "memfd")) {
            ChildJvm.Result result = child().property(NativeLibrary.EXTRACT_PROPERTY, extract)
                    .run(LoadersProbe.class, ChildJvm.testClassPath());
            assertThat(result.output()).contains("first.state=loaded", "second.state=loaded");
            assertThat(result.output()).contains("first.called=1", "second.called=1");
            assertThat(result.exitCode()).isZero();
        }
    }

    @Test
    void aSecondClassLoaderGetsACopyOfTheNamedLibrary() throws Exception {
        Path library = Libraries.realFile(Files.createDirectory(directory.resolve("library")));
        ChildJvm.Result result = child().property(NativeLibrary.LIBRARY_PROPERTY, library)
                .run(LoadersProbe.class, ChildJvm.testClassPath());
        assertThat(result.value("first.method")).isEqualTo("IN_PLACE");
        assertThat(result.value("second.method")).isEqualTo("EXTRACTED_FILE");
        assertThat(result.output()).contains("first.called=1", "second.called=1");
        assertThat(result.exitCode()).isZero();
        assertThat(directory.toFile().list()).containsExactly("library");
    }

    /** Were the library unmapped with its class loader, its threads would run into nothing. */
    @Test
    void survivesTheEndOfItsClassLoader() throws Exception {
        for (String extract : List.of("file", "memfd")) {
            ChildJvm.Result result = child().property(NativeLibrary.EXTRACT_PROPERTY, extract)
                    .run(UnloadProbe.class, ChildJvm.testClassPath());
            assertThat(result.value("created")).isEqualTo("0");
            assertThat(result.value("unloaded")).isEqualTo("true");
            assertThat(result.value("mapped")).isEqualTo("true");
            assertThat(result.exitCode()).isZero();
        }
    }

    @Test
    void needsNoHome() throws Exception {
        Path home = Files.createDirectory(
                directory.resolve("home"),
                PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("r-x------")));
        Path temporary = Files.createDirectory(directory.resolve("tmp"));
        ChildJvm.Result result = ChildJvm.granted()
                .through(List.of("env", "HOME=" + home))
                .property("user.home", home)
                .property("java.io.tmpdir", temporary)
                .run(StateProbe.class);
        assertLoaded(result, LoadMethod.EXTRACTED_FILE);
        assertThat(home).isEmptyDirectory();
        assertThat(temporary).isEmptyDirectory();
    }

    /** {@link #leavesNothingOfALibraryThatDoesNotFit()} has another reason for the same refusal, everywhere. */
    @Test
    void saysThatMemoryFilesAreForbidden() throws Exception {
        List<String> hardened = Namespace.withoutExecutableMemoryFiles();
        String problem = Namespace.problem(hardened);
        assumeTrue(problem.isEmpty(), problem);
        assertRefused(
                child().through(hardened)
                        .property(NativeLibrary.EXTRACT_PROPERTY, "memfd")
                        .run(StateProbe.class),
                Refusal.MEMORY_FILE_UNAVAILABLE,
                "The native library cannot be put into a sealed memory file: memfd_create failed with errno 13; name a"
                        + " directory for it by -Dgatedattention.tmpdir=DIRECTORY.");
    }

    /** A limit on the size of files stops the write in the middle, as a full disk or a quota does. */
    @Test
    void leavesNothingOfALibraryThatDoesNotFit() throws Exception {
        assertRefused(
                limited("file").run(StateProbe.class),
                Refusal.WRITE_FAILED,
                "does not take the library of " + Libraries.real().length + " bytes");
        assertRefused(
                limited("memfd").run(StateProbe.class),
                Refusal.MEMORY_FILE_UNAVAILABLE,
                "The native library cannot be put into a sealed memory file: writing to it failed");
        ChildJvm.Result both = limited("auto").run(StateProbe.class);
        assertRefused(both, Refusal.WRITE_FAILED, "does not take the library of ");
        assertThat(both.value("describe")).contains("cannot be put into a sealed memory file");
        assertThat(directory).isEmptyDirectory();
    }

    /** A child that can write no more than 4 KiB to any file. */
    private ChildJvm limited(String extract) {
        return child().through(List.of("bash", "-c", "ulimit -f 4; exec \"$0\" \"$@\""))
                .option("-XX:-UsePerfData", "-Xshare:off")
                .property(NativeLibrary.EXTRACT_PROPERTY, extract);
    }

    private ChildJvm child() {
        return ChildJvm.granted().property(NativeLibrary.DIRECTORY_PROPERTY, directory);
    }

    static void assertLoaded(ChildJvm.Result result, LoadMethod method) {
        assertThat(result.value("state")).isEqualTo("loaded");
        assertThat(result.value("method")).isEqualTo(method.name());
        assertThat(result.value("abi")).isEqualTo("1");
        assertThat(result.exitCode()).isZero();
    }

    static void assertRefused(ChildJvm.Result result, Refusal refusal, String message) {
        assertThat(result.value("describe")).contains(message);
        assertThat(result.value("refusal")).isEqualTo(refusal.name());
        assertThat(result.exitCode()).isZero();
    }
}
