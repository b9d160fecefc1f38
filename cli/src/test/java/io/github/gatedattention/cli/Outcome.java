package io.github.gatedattention.cli;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import picocli.CommandLine;

/**
 * What a command did.
 *
 * @param code the exit code
 * @param out standard output
 * @param err standard error
 */
public record Outcome(int code, String out, String err) {
    /** Runs a command in this JVM. */
    public static Outcome of(Object... arguments) {
        var out = new StringWriter();
        var err = new StringWriter();
        CommandLine command = Main.commandLine().setOut(new PrintWriter(out)).setErr(new PrintWriter(err));
        int code = command.execute(strings(arguments));
        return new Outcome(code, out.toString(), err.toString());
    }

    /** Runs a command in a JVM of its own, as a user does. */
    public static Outcome ofProcess(Path directory, Object... arguments) throws IOException, InterruptedException {
        return ofProcess(List.of(), directory, arguments);
    }

    /** The same with options of the JVM. */
    public static Outcome ofProcess(List<String> options, Path directory, Object... arguments)
            throws IOException, InterruptedException {
        var command = new ArrayList<>(List.of(
                Path.of(System.getProperty("java.home"), "bin", "java").toString(),
                "--enable-native-access=ALL-UNNAMED"));
        command.addAll(options);
        command.addAll(List.of("-cp", System.getProperty("java.class.path"), Main.class.getName()));
        command.addAll(List.of(strings(arguments)));
        Path out = directory.resolve("stdout.txt");
        Path err = directory.resolve("stderr.txt");
        Process process = new ProcessBuilder(command)
                .redirectOutput(out.toFile())
                .redirectError(err.toFile())
                .start();
        int code = process.waitFor();
        return new Outcome(code, Files.readString(out, UTF_8), Files.readString(err, UTF_8));
    }

    private static String[] strings(Object... arguments) {
        String[] strings = new String[arguments.length];
        for (int i = 0; i < strings.length; i++) {
            strings[i] = arguments[i].toString();
        }
        return strings;
    }

    /** Asserts success without a word on standard error. */
    public Outcome succeeded() {
        assertThat(err).isEmpty();
        assertThat(code).isZero();
        return this;
    }

    /** Asserts that the input was refused with this one sentence on standard error and nothing on standard output. */
    public void refused(String sentence) {
        assertThat(err).isEqualTo(sentence + System.lineSeparator());
        assertThat(out).isEmpty();
        assertThat(code).isEqualTo(CommandLine.ExitCode.USAGE);
    }
}
