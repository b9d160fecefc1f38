package io.github.gatedattention.bindings;

import static java.util.stream.Collectors.toMap;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/** Runs a probe in a JVM of its own, which may die of what it loads, and reads what it printed. */
final class ChildJvm {

    private final List<String> prefix = new ArrayList<>();
    private final List<String> options = new ArrayList<>(
            List.of("-XX:ErrorFile=/dev/null", "-XX:-CreateCoredumpOnCrash", "-XX:TieredStopAtLevel=1", "-Xmx128m"));
    private String classPath = testClassPath();

    /** What a child left behind: its exit code and its output, line by line "key=value". */
    record Result(int exitCode, String output) {

        Map<String, String> values() {
            return output.lines()
                    .map(line -> line.split("=", 2))
                    .filter(parts -> parts.length == 2)
                    .collect(toMap(parts -> parts[0], parts -> parts[1], (first, second) -> second));
        }

        String value(String key) {
            return Optional.ofNullable(values().get(key)).orElse("no " + key + " in: " + output);
        }
    }

    /** A child that may make native calls. */
    static ChildJvm granted() {
        return new ChildJvm().option("--enable-native-access=ALL-UNNAMED");
    }

    /** A child with the JVM's own defaults. */
    static ChildJvm plain() {
        return new ChildJvm();
    }

    ChildJvm option(String... more) {
        options.addAll(Arrays.asList(more));
        return this;
    }

    ChildJvm property(String name, Object value) {
        return option("-D" + name + "=" + value);
    }

    ChildJvm classPath(List<Path> entries) {
        classPath = String.join(
                File.pathSeparator, entries.stream().map(Path::toString).toList());
        return this;
    }

    /** Runs the JVM through another command, for example in a mount namespace. */
    ChildJvm through(List<String> command) {
        prefix.addAll(command);
        return this;
    }

    Result run(Class<?> main, String... arguments) throws IOException, InterruptedException {
        return finish(start(main, arguments));
    }

    Started start(Class<?> main, String... arguments) throws IOException {
        List<String> command = new ArrayList<>(prefix);
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(options);
        command.addAll(List.of("-cp", classPath, main.getName()));
        command.addAll(Arrays.asList(arguments));
        Path output = Files.createTempFile("child", ".txt");
        Process process = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(output.toFile())
                .start();
        return new Started(process, output);
    }

    record Started(Process process, Path output) {}

    static Result finish(Started started) throws IOException, InterruptedException {
        try {
            if (!started.process().waitFor(60, TimeUnit.SECONDS)) {
                started.process().destroyForcibly().waitFor();
                throw new AssertionError("The child JVM did not end within 60 s: "
                        + Files.readString(started.output(), StandardCharsets.UTF_8));
            }
            return new Result(
                    started.process().exitValue(), Files.readString(started.output(), StandardCharsets.UTF_8));
        } finally {
            Files.delete(started.output());
        }
    }

    /** surefire's own class path is a JAR with a manifest; this is what it stands for. */
    static String testClassPath() {
        return System.getProperty("surefire.test.class.path", System.getProperty("java.class.path"));
    }
}
