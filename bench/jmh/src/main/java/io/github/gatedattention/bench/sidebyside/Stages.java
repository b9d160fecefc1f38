package io.github.gatedattention.bench.sidebyside;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Where the time of this library's calls goes, as {@code native/bench/stages} measured it.
 *
 * @param absence why that is not known; empty when it is
 * @param calls what was measured
 */
record Stages(String absence, List<Call> calls) {
    /**
     * One call.
     *
     * @param workload what was computed
     * @param type in which type
     * @param nanos its median time
     * @param shares of the time of all threads, by stage
     */
    record Call(String workload, String type, double nanos, Map<String, Double> shares) {
        /** What passed between the stages. */
        double rest() {
            return 1 - shares.values().stream().mapToDouble(Double::doubleValue).sum();
        }
    }

    /** A report that leaves them out. */
    static Stages leftOut() {
        return new Stages("left out", List.of());
    }

    /** Runs the program that {@code ./ga} has built under the repository, or says why it cannot. */
    static Stages measure(Path repository, int threads) throws IOException, InterruptedException {
        Path program = repository.resolve("build-stages/native/bench/stages");
        if (!Files.isExecutable(program)) {
            return new Stages(
                    program + " is not built: cmake -B build-stages -DGA_STAGES=ON && cmake --build build-stages",
                    List.of());
        }
        Process process = new ProcessBuilder(program.toString(), Integer.toString(threads))
                .redirectError(ProcessBuilder.Redirect.INHERIT)
                .start();
        String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
        int code = process.waitFor();
        return code == 0 ? parse(output) : new Stages(program + " exited with " + code, List.of());
    }

    static Stages parse(String output) {
        return new Stages(
                "",
                output.lines()
                        .map(line -> {
                            Map<?, ?> call = DocumentJson.parse(line);
                            Map<String, Double> shares = new LinkedHashMap<>();
                            call.forEach((name, value) -> {
                                if (value instanceof Double share
                                        && !List.of("nanos", "threads").contains(name)) {
                                    shares.put(name.toString(), share);
                                }
                            });
                            return new Call(
                                    String.valueOf(call.get("workload")),
                                    String.valueOf(call.get("type")),
                                    DocumentJson.number(call, "nanos"),
                                    shares);
                        })
                        .toList());
    }
}
