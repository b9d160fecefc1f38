package io.github.gatedattention.bench.report;

import io.github.gatedattention.bench.Precision;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.OptionalDouble;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import java.util.stream.Stream;

/**
 * What this machine can do at most, as {@code native/bench/limits} measured it at the beginning of the run.
 *
 * @param line its JSON line for the number of threads in use; empty when it could not be measured
 * @param absence why not; empty when it was
 */
public record Limits(String line, String absence) {
    /**
     * Runs the program.
     *
     * @param repository where it was built
     * @param threads how many threads are used
     * @return what it printed, or why it could not
     */
    public static Limits measure(Path repository, int threads) throws IOException, InterruptedException {
        Path program = program(repository);
        if (!Files.isExecutable(program)) {
            return new Limits("", absence(program));
        }
        Process process = new ProcessBuilder(program.toString(), Integer.toString(threads))
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        int code = process.waitFor();
        return code == 0 ? of(output, threads) : new Limits("", program + " exited with " + code);
    }

    /**
     * {@return where the program is when it was built}
     *
     * @param repository where it was built
     */
    public static Path program(Path repository) {
        return repository.resolve("build/native/bench/limits");
    }

    /**
     * {@return what to say when it was not}
     *
     * @param program where it should be
     */
    public static String absence(Path program) {
        return program + " is not built: cmake -B build && cmake --build build --target limits";
    }

    static Limits of(String output, int threads) {
        try (Stream<String> lines = output.lines()) {
            List<String> matching = lines.filter(line -> value(line, "threads").orElse(0) == threads)
                    .toList();
            return matching.isEmpty()
                    ? new Limits("", "limits printed nothing for " + threads + " threads")
                    : new Limits(matching.getFirst(), "");
        }
    }

    /** {@return GFLOP/s of the fastest instruction for the type; empty when unknown} */
    OptionalDouble gigaflops(Precision precision) {
        if (precision == Precision.BF16) {
            for (String instruction : List.of("amx_bf16_gflops", "dot_bf16_gflops")) {
                OptionalDouble rate = value(line, instruction);
                if (rate.orElse(0) > 0) {
                    return rate;
                }
            }
        }
        return value(line, "fma_f32_gflops");
    }

    /** {@return GB/s that all threads together read from memory; empty when unknown} */
    OptionalDouble gigabytes() {
        return value(line, "read_dram_gbps");
    }

    private static OptionalDouble value(String line, String key) {
        Matcher matcher = Pattern.compile("\"" + key + "\":\\s*([0-9.eE+-]+)").matcher(line);
        return matcher.find() ? OptionalDouble.of(Double.parseDouble(matcher.group(1))) : OptionalDouble.empty();
    }
}
