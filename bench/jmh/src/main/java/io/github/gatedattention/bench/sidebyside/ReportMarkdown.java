package io.github.gatedattention.bench.sidebyside;

import static io.github.gatedattention.reporting.Markdown.NONE;
import static io.github.gatedattention.reporting.Markdown.format;
import static io.github.gatedattention.reporting.Markdown.line;
import static io.github.gatedattention.reporting.Markdown.significant;
import static io.github.gatedattention.reporting.Markdown.tableHead;
import static io.github.gatedattention.reporting.Markdown.tableRow;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;

/** A {@link Document} as text: how it was measured, then a table for every question. */
final class ReportMarkdown {
    private static final double TO_MICROS = 1e-3;
    private static final double TO_MILLIS = 1e-6;

    private ReportMarkdown() {}

    static String text(Document document) {
        StringBuilder text = new StringBuilder(header(document));
        for (Section section : Section.values()) {
            List<Measured> rows = document.of(section);
            if (!rows.isEmpty()) {
                line(text, "%n## %s%n%n%s%n", section.title(), section.explanation());
                Arrays.stream(Picture.values())
                        .filter(picture -> picture.section() == section && picture.hasData(document))
                        .forEach(picture -> line(text, "![%s](%s)%n", picture.caption(), picture.file()));
                table(text, section, rows);
            }
        }
        stages(text, document.stages());
        return text.toString();
    }

    private static String header(Document document) {
        StringBuilder text = new StringBuilder("# Gated attention side by side\n\n");
        line(text, "- date: %s", document.date());
        line(text, "- machine: %s", document.machine());
        line(text, "- JVM: %s", document.jvm());
        line(text, "- threads: %d for everyone, where a row says nothing else", document.threads());
        line(text, "- length: %s", document.full() ? "full" : "quick; --full-length for figures to publish");
        if (!document.limitsAbsence().isEmpty()) {
            line(text, "- no shares of the peak: %s", document.limitsAbsence());
        }
        text.append("""

                One run: in every round the limits of the machine are measured, then everyone has a turn of several calls.
                The time of a round is the median of its calls, the figure is the median of the rounds, and the spread its
                10th and 90th percentile over the rounds. Peak is what `limits` reached in the same rounds: the arithmetic
                of the type, or reading as many bytes as the operands have, over and over; its share is the median of those of
                each round. Error is the relative L2 error of the whole output against float64. Timed: one call, attention and
                gate; untimed: loading, changes of layout, repetition of K and V. A row without figures says why.

                ## Tuning

                """);
        document.tuning().forEach((name, tuning) -> line(text, "- %s: %s", name, tuning));
        text.append("\nEnvironment and JVM options of each process:\n\n");
        document.environment().forEach((name, environment) -> line(text, "- %s: %s", name, environment));
        return text.toString();
    }

    private static void table(StringBuilder text, Section section, List<Measured> rows) {
        boolean calls = section == Section.CALL;
        boolean threads = section == Section.THREADS;
        List<String> head = new ArrayList<>(List.of("workload", "implementation"));
        if (threads) {
            head.add("threads");
        }
        head.addAll(List.of(calls ? "median µs" : "median ms", "10th to 90th percentile", "calls"));
        if (!calls) {
            head.addAll(List.of("rate", "peak", "share of peak"));
        }
        head.addAll(List.of("error"));
        tableHead(text, head);
        List<String> absences = new ArrayList<>();
        for (Measured row : rows) {
            if (!row.isPresent()) {
                absences.add(format(
                        "- %s, %s%s: %s",
                        row.entry().workload(),
                        row.entry().implementation().title(),
                        threads ? ", threads " + row.entry().threads() : "",
                        row.absence()));
            }
            tableRow(text, cells(row, calls, threads));
        }
        if (!absences.isEmpty()) {
            text.append("\nNot measured:\n\n");
            absences.forEach(absence -> line(text, "%s", absence));
        }
    }

    private static void stages(StringBuilder text, Stages stages) {
        line(text, "%n## Where the time goes%n");
        if (stages.calls().isEmpty()) {
            line(text, "Not measured: %s", stages.absence());
            return;
        }
        text.append("""
                Shares of the time of all threads, of this library's calls, as a build with clocks between the stages has them: keys
                and values packed, query rows packed, Q Kᵀ (backward: and dY Vᵀ), softmax (backward: P and dS) where it is not done
                beside these, P V, the end of rows (normalize, gate, merge, store; backward: Delta and dY), dK and dV, dQ. The rest passes between
                the stages: threads that wait, and the call itself. What was tried: docs/benchmarks.md.

                """);
        List<String> head = new ArrayList<>(List.of("workload", "type", "median ms"));
        stages.calls().getFirst().shares().keySet().forEach(stage -> head.add(stage.replace('_', ' ')));
        head.add("rest");
        tableHead(text, head);
        for (Stages.Call call : stages.calls()) {
            List<String> cells =
                    new ArrayList<>(List.of(call.workload(), call.type(), significant(call.nanos() * TO_MILLIS)));
            call.shares().values().forEach(share -> cells.add(share == 0 ? NONE : format("%.1f %%", 100 * share)));
            cells.add(format("%.1f %%", 100 * call.rest()));
            tableRow(text, cells);
        }
    }

    private static List<String> cells(Measured row, boolean calls, boolean threads) {
        double unit = calls ? TO_MICROS : TO_MILLIS;
        List<String> cells = new ArrayList<>(List.of(
                row.entry().workload().name(), row.entry().implementation().title()));
        if (threads) {
            cells.add(Integer.toString(row.entry().threads()));
        }
        if (!row.isPresent()) {
            cells.add("not measured");
            while (cells.size() < (calls ? 6 : threads ? 10 : 9)) {
                cells.add(NONE);
            }
            return cells;
        }
        cells.add(significant(row.nanos() * unit));
        cells.add(significant(row.lowNanos() * unit) + " to " + significant(row.highNanos() * unit));
        cells.add(format("%,d", row.calls()));
        if (!calls) {
            boolean decode = row.entry().workload().isDecode();
            String rate = decode ? "%.1f GB/s" : "%.0f GFLOP/s";
            cells.add(format(rate, row.rate()));
            boolean known = !Double.isNaN(row.share());
            cells.add(
                    known
                            ? format(rate, row.peak().gigaPerSecond()) + ", "
                                    + row.peak().words()
                            : NONE);
            cells.add(known ? percent(row.share()) : NONE);
        }
        cells.add(format("%.1e", row.error()));
        return cells;
    }

    static String percent(double share) {
        return format("%.0f %%", 100 * share);
    }
}
