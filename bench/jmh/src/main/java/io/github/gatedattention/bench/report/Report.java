package io.github.gatedattention.bench.report;

import static io.github.gatedattention.reporting.Markdown.NONE;
import static io.github.gatedattention.reporting.Markdown.format;
import static io.github.gatedattention.reporting.Markdown.line;
import static io.github.gatedattention.reporting.Markdown.significant;
import static io.github.gatedattention.reporting.Markdown.tableHead;
import static io.github.gatedattention.reporting.Markdown.tableRow;

import io.github.gatedattention.bench.NeighborBenchmark.Neighbor;
import io.github.gatedattention.bench.Workload;
import io.github.gatedattention.bench.peers.Implementation;
import io.github.gatedattention.bench.peers.Trainer;
import io.github.gatedattention.reporting.Machine;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.OptionalDouble;
import java.util.TreeSet;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.RunResult;

/**
 * The text of a run, in Markdown: the machine and the tuning, then the results.
 *
 * @param machine where it ran
 * @param threads how many threads every implementation might use
 * @param environment what peers were told through the environment
 * @param fullLength whether it was measured for publication
 * @param limits what the machine can do at most
 * @param absent the implementations that could not be loaded, and why
 */
public record Report(
        Machine machine,
        int threads,
        Map<String, String> environment,
        boolean fullLength,
        Limits limits,
        Map<Implementation, String> absent) {
    static final double MEDIAN = 50;
    private static final String ALLOCATION = "gc.alloc.rate.norm";

    /** {@return what is known before the first measurement} */
    public String header() {
        StringBuilder text = new StringBuilder("# Gated attention, forward: measured\n\n");
        line(text, "- machine: %s", machine.name());
        line(text, "- JVM: %s, %s", System.getProperty("java.vm.name"), System.getProperty("java.vm.version"));
        line(text, "- threads: %d for every implementation", threads);
        line(text, "- length: %s", fullLength ? "full" : "quick; --full-length for figures to publish");
        line(text, "- limits: %s", limits.absence().isEmpty() ? limits.line() : limits.absence());
        line(text, "- environment: %s", environment);
        line(text, "- timed: one call, attention and gate; untimed: layout conversions, K/V repetition, loading");
        text.append("\n## Tuning\n\n");
        for (Implementation implementation : Implementation.inBenchmarks()) {
            String reason = absent.get(implementation);
            line(
                    text,
                    "- %s: %s",
                    implementation.title(),
                    reason == null ? implementation.tuning() : "**absent**: " + reason);
        }
        return text.toString();
    }

    /**
     * {@return the whole text}
     *
     * @param results what JMH measured
     */
    public String text(Collection<RunResult> results) {
        List<Row> rows = results.stream().filter(Row::fits).map(Row::of).toList();
        StringBuilder text = new StringBuilder(header());
        if (!rows.isEmpty()) {
            text.append(
                    "\n## Medians\n\nMilliseconds per call; the last column is the largest relative L2 error of the row"
                            + " against float64.\n\n");
            overview(text, rows);
            text.append("\n## Every row\n\n");
            details(text, rows);
        }
        List<TrainingRow> steps = results.stream()
                .filter(TrainingRow::fits)
                .map(TrainingRow::of)
                .sorted()
                .toList();
        if (!steps.isEmpty()) {
            text.append(
                    "\n## Forward and backward\n\nOne step, counted as 3.5 forward passes; the error is the largest of any"
                            + " gradient.\n\n");
            training(text, steps);
        }
        List<NeighborRow> neighbors =
                NeighborRow.of(results.stream().filter(NeighborRow::fits).toList());
        if (!neighbors.isEmpty()) {
            text.append(
                    "\n## While a process spins on one of the processors\n\nMilliseconds per call, median and mean. The"
                            + " ratio is of means: what the neighbor costs beyond the processor that it takes.\n\n");
            neighbors(text, neighbors);
        }
        List<RunResult> calls = results.stream()
                .filter(r -> !Row.fits(r) && !TrainingRow.fits(r) && !NeighborRow.fits(r))
                .toList();
        if (!calls.isEmpty()) {
            text.append("\n## What short calls cost\n\nWhat Java adds to a call is `forward` less `bare`.\n\n");
            calls(text, calls);
        }
        return text.toString();
    }

    private void overview(StringBuilder text, List<Row> rows) {
        List<Workload> workloads =
                new ArrayList<>(new TreeSet<>(rows.stream().map(Row::workload).toList()));
        List<String> head = new ArrayList<>(List.of("implementation"));
        workloads.forEach(workload -> head.add(workload.name()));
        head.add("error");
        tableHead(text, head);
        for (Implementation implementation : Implementation.inBenchmarks()) {
            List<Row> own = rows.stream()
                    .filter(r -> r.implementation() == implementation)
                    .toList();
            List<String> cells = new ArrayList<>(List.of(implementation.title()));
            for (Workload workload : workloads) {
                cells.add(own.stream()
                        .filter(r -> r.workload() == workload)
                        .map(r -> significant(r.nanos() / 1e6))
                        .findFirst()
                        .orElseGet(() -> missing(implementation, workload, rows)));
            }
            if (cells.stream().skip(1).allMatch(NONE::equals)) {
                continue; // this library's own workloads say nothing about it
            }
            double error = own.stream().mapToDouble(Row::error).max().orElse(Double.NaN);
            cells.add(own.isEmpty() ? NONE : format("%.1e", error));
            tableRow(text, cells);
        }
    }

    /** Why there is no time: some workloads are this library's alone. */
    private String missing(Implementation implementation, Workload workload, List<Row> rows) {
        if (absent.containsKey(implementation)) {
            return "absent";
        }
        boolean compared = rows.stream()
                .anyMatch(r -> r.workload() == workload && !r.implementation().isLibrary());
        return compared ? "failed" : NONE;
    }

    private void details(StringBuilder text, List<Row> rows) {
        tableHead(text, List.of("workload", "implementation", "median ms", "rate", "share of peak", "error"));
        rows.stream()
                .sorted((a, b) -> a.workload() != b.workload()
                        ? a.workload().compareTo(b.workload())
                        : a.implementation().compareTo(b.implementation()))
                .forEach(row -> tableRow(
                        text,
                        List.of(
                                row.workload().name(),
                                row.implementation().title(),
                                significant(row.nanos() / 1e6),
                                row.workload().isDecode()
                                        ? format("%.1f GB/s", row.gigabytes())
                                        : format("%.0f GFLOP/s", row.gigaflops()),
                                share(row),
                                format("%.1e", row.error()))));
    }

    /** Of the arithmetic peak of the row's type, or of what memory delivers. A decode out of a cache has neither limit. */
    private String share(Row row) {
        if (row.workload().isMemoryBound()) {
            return percent(row.gigabytes(), limits.gigabytes());
        }
        return row.workload().isDecode()
                ? NONE
                : percent(row.gigaflops(), limits.gigaflops(row.implementation().precision()));
    }

    private void training(StringBuilder text, List<TrainingRow> rows) {
        for (Trainer.Kind kind :
                new TreeSet<>(rows.stream().map(TrainingRow::trainer).toList())) {
            line(text, "- %s: %s", kind.implementation().title(), kind.tuning());
        }
        text.append('\n');
        tableHead(text, List.of("workload", "implementation", "median ms", "rate", "share of peak", "error"));
        for (TrainingRow row : rows) {
            tableRow(
                    text,
                    List.of(
                            row.workload().name(),
                            row.trainer().implementation().title(),
                            significant(row.nanos() / 1e6),
                            format("%.0f GFLOP/s", row.gigaflops()),
                            percent(
                                    row.gigaflops(),
                                    limits.gigaflops(row.trainer().precision())),
                            format("%.1e", row.error())));
        }
    }

    private static String percent(double rate, OptionalDouble peak) {
        return peak.isEmpty() ? NONE : format("%.0f %%", 100 * rate / peak.getAsDouble());
    }

    private static void neighbors(StringBuilder text, List<NeighborRow> rows) {
        tableHead(
                text, List.of("workload", "alone", "alone, one thread less", "neighbor", "neighbor / one thread less"));
        for (NeighborRow row : rows) {
            tableRow(
                    text,
                    List.of(
                            row.workload().name(),
                            millis(row.times().get(Neighbor.NONE)),
                            millis(row.times().get(Neighbor.ONE_THREAD_LESS)),
                            millis(row.times().get(Neighbor.BUSY)),
                            ratio(row.times().get(Neighbor.BUSY), row.times().get(Neighbor.ONE_THREAD_LESS))));
        }
    }

    private static String millis(NeighborRow.@Nullable Times times) {
        return times == null ? NONE : significant(times.median() / 1e6) + ", " + significant(times.mean() / 1e6);
    }

    private static String ratio(NeighborRow.@Nullable Times busy, NeighborRow.@Nullable Times alone) {
        return busy == null || alone == null ? NONE : format("%.2f", busy.mean() / alone.mean());
    }

    private static void calls(StringBuilder text, List<RunResult> results) {
        tableHead(text, List.of("call", "median ns", "fastest ns", "bytes allocated"));
        for (RunResult result : results) {
            Result<?> time = result.getPrimaryResult();
            Result<?> bytes = result.getSecondaryResults().get(ALLOCATION);
            double nanos = TimeUnit.NANOSECONDS.convert(1, result.getParams().getTimeUnit());
            tableRow(
                    text,
                    List.of(
                            name(result),
                            format("%.1f", nanos * time.getStatistics().getPercentile(MEDIAN)),
                            format("%.1f", nanos * time.getStatistics().getMin()),
                            bytes == null
                                    ? NONE
                                    : format("%.3f", bytes.getStatistics().getPercentile(MEDIAN))));
        }
    }

    /** The benchmark's method and its parameters. */
    private static String name(RunResult result) {
        BenchmarkParams params = result.getParams();
        StringBuilder name = new StringBuilder(result.getPrimaryResult().getLabel());
        for (String key : params.getParamsKeys()) {
            name.append(", ").append(key).append(' ').append(params.getParam(key));
        }
        return name.toString();
    }
}
