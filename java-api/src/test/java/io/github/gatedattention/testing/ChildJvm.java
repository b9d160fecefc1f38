package io.github.gatedattention.testing;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.TimeUnit;

/** Runs a class of the tests in a JVM of its own, which may die without harm. */
public final class ChildJvm {
    private static final long SECONDS = 240;

    private ChildJvm() {}

    /**
     * How a child ended.
     *
     * @param exit its exit code; a crash is never 0
     * @param output what it printed, errors included
     */
    public record Result(int exit, String output) {}

    /** Runs {@code main} with native access granted and crash reports off. */
    public static Result run(List<String> options, Class<?> main, String... arguments) {
        return run(SECONDS, options, main, arguments);
    }

    /** The same for a child that may take longer. */
    public static Result run(long seconds, List<String> options, Class<?> main, String... arguments) {
        List<String> granted = new ArrayList<>(options);
        granted.add("--enable-native-access=ALL-UNNAMED");
        return run(seconds, granted, main, List.of(arguments));
    }

    /** The same without the grant. */
    public static Result runPlain(List<String> options, Class<?> main, String... arguments) {
        return run(SECONDS, options, main, List.of(arguments));
    }

    /** The same as {@link #run(List, Class, String...)} with further entries on the class path. */
    public static Result runWithClassPath(String classPath, List<String> options, Class<?> main) {
        List<String> granted = new ArrayList<>(options);
        granted.add("--enable-native-access=ALL-UNNAMED");
        return run(SECONDS, classPath, granted, main, List.of());
    }

    private static Result run(long seconds, List<String> options, Class<?> main, List<String> arguments) {
        return run(seconds, System.getProperty("java.class.path"), options, main, arguments);
    }

    private static Result run(
            long seconds, String classPath, List<String> options, Class<?> main, List<String> arguments) {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.addAll(List.of("-XX:ErrorFile=/dev/null", "-XX:-CreateCoredumpOnCrash", "-Xmx1g"));
        System.getProperties().stringPropertyNames().stream()
                .filter(name -> name.startsWith("gatedattention.") || name.equals("ga.native"))
                .forEach(name -> command.add("-D" + name + "=" + System.getProperty(name)));
        command.addAll(options);
        command.addAll(List.of("-cp", classPath, main.getName()));
        command.addAll(arguments);
        try {
            Path output = Files.createTempFile("child", ".txt");
            try {
                return finish(command, output, seconds);
            } finally {
                Files.delete(output);
            }
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static Result finish(List<String> command, Path output, long seconds) throws IOException {
        Process process = new ProcessBuilder(command)
                .redirectErrorStream(true)
                .redirectOutput(output.toFile())
                .start();
        try {
            if (!process.waitFor(seconds, TimeUnit.SECONDS)) {
                throw new IllegalStateException("a child JVM ran over " + seconds + " s: " + command + "\n"
                        + Files.readString(output, StandardCharsets.UTF_8));
            }
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IllegalStateException(e);
        } finally {
            process.destroyForcibly();
        }
        return new Result(process.exitValue(), Files.readString(output, StandardCharsets.UTF_8));
    }
}
