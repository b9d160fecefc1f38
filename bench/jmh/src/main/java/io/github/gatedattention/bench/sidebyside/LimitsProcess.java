package io.github.gatedattention.bench.sidebyside;

import io.github.gatedattention.bench.report.Limits;
import java.io.BufferedReader;
import java.io.IOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.jspecify.annotations.Nullable;

/** {@code limits --serve}: measures a limit of the machine when it is asked to. */
final class LimitsProcess implements AutoCloseable {
    private static final Pattern ANSWER = Pattern.compile("\"giga_per_second\": ([0-9.]+)");

    private final @Nullable Process process; // null when the program was not built
    private final @Nullable Writer requests;
    private final @Nullable BufferedReader answers;
    private final String absence;

    /**
     * Starts the program.
     *
     * @param repository where it was built
     */
    LimitsProcess(Path repository) throws IOException {
        Path program = Limits.program(repository);
        if (Files.isExecutable(program)) {
            absence = "";
            process = new ProcessBuilder(program.toString(), "--serve")
                    .redirectError(ProcessBuilder.Redirect.INHERIT)
                    .start();
            requests = process.outputWriter(StandardCharsets.UTF_8);
            answers = process.inputReader(StandardCharsets.UTF_8);
        } else {
            absence = Limits.absence(program);
            process = null;
            requests = null;
            answers = null;
        }
    }

    /** Why there are no limits; empty when there are. */
    String absence() {
        return absence;
    }

    /** Measures; 1e9 operations or bytes per second, 0 when unknown. */
    double measure(String limit) throws IOException {
        if (requests == null || answers == null || limit.isEmpty()) {
            return 0;
        }
        requests.write(limit + "\n");
        requests.flush();
        return parse(answers.readLine());
    }

    static double parse(@Nullable String answer) {
        Matcher matcher = ANSWER.matcher(answer == null ? "" : answer);
        return matcher.find() ? Double.parseDouble(matcher.group(1)) : 0;
    }

    @Override
    public void close() {
        if (process != null) {
            process.destroy();
        }
    }
}
