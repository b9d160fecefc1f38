package io.github.gatedattention.safetensors;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.File;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/** Reads a file as a user who owns nothing, in a JVM of its own where the tests run as root: root may read everything. */
final class OtherUser {
    private static final String NOBODY = "65534";

    private OtherUser() {}

    /** The reader's message about {@code file}, without its name. */
    static String problemOf(Path directory, Path file) throws IOException, InterruptedException {
        if (!"root".equals(System.getProperty("user.name"))) {
            return read(file);
        }
        // Nobody has to get at the classes: they are copied to where everybody may look.
        Files.setPosixFilePermissions(directory, PosixFilePermissions.fromString("rwxr-xr-x"));
        var classPath = new ArrayList<String>();
        for (String entry : System.getProperty("java.class.path").split(File.pathSeparator)) {
            if (entry.contains("jackson-core") || entry.endsWith("classes")) {
                classPath.add(copy(Path.of(entry), directory.resolve("cp" + classPath.size()))
                        .toString());
            }
        }
        Process child = new ProcessBuilder(List.of(
                        "setpriv",
                        "--reuid=" + NOBODY,
                        "--regid=" + NOBODY,
                        "--clear-groups",
                        Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                        "-cp",
                        String.join(File.pathSeparator, classPath),
                        OtherUser.class.getName(),
                        file.toString()))
                .redirectErrorStream(true)
                .start();
        String output = new String(child.getInputStream().readAllBytes(), UTF_8);
        assertThat(child.waitFor()).as(output).isZero();
        return output;
    }

    private static Path copy(Path from, Path to) throws IOException {
        try (Stream<Path> files = Files.walk(from)) {
            for (Path file : (Iterable<Path>) files::iterator) {
                Files.copy(file, to.resolve(from.relativize(file).toString()));
            }
        }
        if (!Files.isRegularFile(to)) {
            return to;
        }
        return Files.move(to, to.resolveSibling(to.getFileName() + ".jar"));
    }

    private static String read(Path file) throws IOException {
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsFile.read(file, arena);
            return "was read";
        } catch (SafetensorsException e) {
            return e.problem();
        }
    }

    public static void main(String[] arguments) throws IOException {
        System.out.print(read(Path.of(arguments[0])));
    }
}
