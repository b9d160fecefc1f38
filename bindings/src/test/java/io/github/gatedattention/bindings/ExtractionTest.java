package io.github.gatedattention.bindings;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Where the packaged library is written, and which directories will not do. */
class ExtractionTest {

    private static final String REMEDY =
            "; name another one by -Dgatedattention.tmpdir=DIRECTORY, or set -Dgatedattention.extract=memfd.";

    @TempDir
    private Path directory;

    private TestEnvironment environment;
    private byte[] real;

    @BeforeEach
    void prepare() throws IOException {
        real = Libraries.real();
        environment = in(directory);
    }

    @Test
    void writesToAPrivateDirectoryThatIsGoneAfterwards() {
        List<String> seen = new ArrayList<>();
        environment.onLoad(path -> {
            try {
                Path file = Path.of(path);
                seen.add(PosixFilePermissions.toString(Files.getPosixFilePermissions(file)));
                seen.add(PosixFilePermissions.toString(Files.getPosixFilePermissions(file.getParent())));
                assertThat(file.getParent().getParent()).isEqualTo(directory.toRealPath());
                assertThat(Files.readAllBytes(file)).isEqualTo(real);
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        });
        environment.loaded();
        assertThat(seen).containsExactly("r-x------", "rwx------");
        assertThat(directory).isEmptyDirectory();
    }

    @Test
    void doesNotFollowAPlantedLink() throws Exception {
        Path victim = Files.writeString(directory.resolve("victim"), "precious");
        Path target = Files.createSymbolicLink(directory.resolve("libgatedattention.so"), victim);
        RefusedException refused = catchThrowableOfType(
                RefusedException.class, () -> ExtractedLibrary.writeNew(target, new LibraryImage("a.jar", real)));
        assertThat(refused.refusal()).isEqualTo(Refusal.TARGET_EXISTS);
        assertThat(refused)
                .hasMessage("A file or symbolic link " + target
                        + " stands where the native library is to be written; remove it"
                        + " after finding out who planted it.");
        assertThat(victim).hasContent("precious");
        assertThat(target).isSymbolicLink();
    }

    @Test
    void doesNotOverwriteAPlantedFile() throws Exception {
        Path target = Files.writeString(directory.resolve("libgatedattention.so"), "planted");
        assertThat(catchThrowableOfType(
                                RefusedException.class,
                                () -> ExtractedLibrary.writeNew(target, new LibraryImage("a.jar", real)))
                        .refusal())
                .isEqualTo(Refusal.TARGET_EXISTS);
        assertThat(target).hasContent("planted");
    }

    @Test
    void refusesADirectoryThatEverybodyMayWriteTo() throws Exception {
        Path open = directory(directory, "open", "rwxrwxrwx");
        refuse(
                in(open),
                Refusal.UNSAFE_DIRECTORY,
                "The directory " + open + " is writable by every user without the sticky bit, mode 777" + REMEDY);
    }

    @Test
    void refusesADirectoryBelowOneThatEverybodyMayWriteTo() throws Exception {
        Path open = directory(directory, "open", "rwxrwxrwx");
        Path inner = directory(open, "inner", "rwx------");
        refuse(
                in(inner),
                Refusal.UNSAFE_DIRECTORY,
                "The directory " + inner + " is writable by every user without the sticky bit (through "
                        + open.toRealPath() + "), mode 777" + REMEDY);
    }

    @Test
    void acceptsTheStickyBit() throws Exception {
        Path sticky = directory(directory, "sticky", "rwxrwxrwx");
        Files.setAttribute(sticky, "unix:mode", 01777);
        assertThat(in(sticky).loaded().method()).isEqualTo(LoadMethod.EXTRACTED_FILE);
    }

    @Test
    void resolvesALinkToTheDirectory() throws Exception {
        Path open = directory(directory, "open", "rwxrwxrwx");
        Path link = Files.createSymbolicLink(directory.resolve("link"), open);
        assertThat(in(link).property(NativeLibrary.EXTRACT_PROPERTY, "file")
                        .refused()
                        .refusal())
                .isEqualTo(Refusal.UNSAFE_DIRECTORY);
    }

    @Test
    void refusesAMissingDirectoryAndAFile() throws Exception {
        Path missing = directory.resolve("missing");
        refuse(in(missing), Refusal.UNUSABLE_DIRECTORY, "The directory " + missing + " does not exist" + REMEDY);
        Path file = Files.writeString(directory.resolve("file"), "");
        refuse(in(file), Refusal.UNUSABLE_DIRECTORY, "The directory " + file + " is no directory" + REMEDY);
    }

    @Test
    void refusesANoexecDirectory() throws Exception {
        TestEnvironment noexec =
                environment.mounts("41 27 0:39 / " + directory.toRealPath() + " rw,noexec - tmpfs tmpfs rw");
        refuse(
                noexec,
                Refusal.NOEXEC_DIRECTORY,
                "The directory " + directory + " is on a file system mounted noexec" + REMEDY);
    }

    @Test
    void goesThroughMemoryWhereTheDirectoryWillNotDo() throws Exception {
        TestEnvironment unsafe = in(directory(directory, "open", "rwxrwxrwx"));
        assertThat(unsafe.loaded().method()).isEqualTo(LoadMethod.SEALED_MEMORY);
        assertThat(unsafe.loadedPaths()).singleElement().asString().startsWith("/proc/self/fd/");
    }

    @Test
    void goesThroughMemoryWhenTheSystemRefusesTheFile() {
        environment.onLoad(path -> {
            if (!path.startsWith("/proc/")) {
                throw new UnsatisfiedLinkError(path + ": failed to map segment from shared object");
            }
        });
        assertThat(environment.loaded().method()).isEqualTo(LoadMethod.SEALED_MEMORY);
        assertThat(environment.loadedPaths()).hasSize(2);
        assertThat(directory).isEmptyDirectory();
    }

    @Test
    void tellsBothReasonsWhenMemoryFailsToo() {
        environment.onLoad(path -> {
            throw new UnsatisfiedLinkError("failed to map segment from shared object");
        });
        NativeLibrary.Refused refused = environment.refused();
        assertThat(refused.refusal()).isEqualTo(Refusal.LINK_FAILED);
        assertThat(refused.message().split("The operating system does not load a.jar!/lib.so"))
                .hasSize(3);
    }

    @Test
    void theReportChangesNothing() throws Exception {
        ExtractionDirectory good = environment.environment().extractionDirectory();
        assertThat(good.isUsable()).isTrue();
        assertThat(good.refusal()).isEmpty();
        assertThat(good.path()).isEqualTo(directory.toString());
        assertThat(good.describe()).isEqualTo("The directory " + directory + " is safe, writable and allows code.");
        ExtractionDirectory bad =
                in(directory(directory, "open", "rwxrwxrwx")).environment().extractionDirectory();
        assertThat(bad.refusal()).contains(Refusal.UNSAFE_DIRECTORY);
        assertThat(bad.describe()).contains("is writable by every user");
    }

    private TestEnvironment in(Path base) {
        return new TestEnvironment().packaged(real).property(NativeLibrary.DIRECTORY_PROPERTY, base);
    }

    private void refuse(TestEnvironment prepared, Refusal refusal, String message) {
        assertThat(prepared.property(NativeLibrary.EXTRACT_PROPERTY, "file").refused())
                .isEqualTo(new NativeLibrary.Refused(refusal, message));
        assertThat(prepared.loadedPaths()).isEmpty();
    }

    /** A directory with exactly these permissions, whatever the umask. */
    private static Path directory(Path parent, String name, String permissions) throws IOException {
        return Files.setPosixFilePermissions(
                Files.createDirectory(parent.resolve(name)), PosixFilePermissions.fromString(permissions));
    }
}
