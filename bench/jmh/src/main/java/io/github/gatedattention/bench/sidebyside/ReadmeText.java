package io.github.gatedattention.bench.sidebyside;

import static io.github.gatedattention.reporting.Markdown.NONE;
import static io.github.gatedattention.reporting.Markdown.format;
import static io.github.gatedattention.reporting.Markdown.line;
import static io.github.gatedattention.reporting.Markdown.significant;
import static io.github.gatedattention.reporting.Markdown.tableHead;
import static io.github.gatedattention.reporting.Markdown.tableRow;

import io.github.gatedattention.bench.Precision;
import io.github.gatedattention.bench.Workload;
import io.github.gatedattention.bench.peers.Implementation;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalDouble;
import java.util.stream.Stream;

/** What README.md shows of a report: one table, one picture, and where the rest is. */
final class ReadmeText {
    private static final double TO_MILLIS = 1e-6;

    private static final Map<Workload, String> COLUMNS = new LinkedHashMap<>();

    static {
        COLUMNS.put(Workload.S128, "S 128");
        COLUMNS.put(Workload.S512, "S 512");
        COLUMNS.put(Workload.S1024, "S 1024");
        COLUMNS.put(Workload.S2048, "S 2048");
        COLUMNS.put(Workload.S4096, "S 4096");
        COLUMNS.put(Workload.S1024_D256, "D256 S 1024");
        COLUMNS.put(Workload.DECODE_4096, "decode, 4096 keys");
    }

    private final Document document;
    private final String results;

    private ReadmeText(Document document, String results) {
        this.document = document;
        this.results = results;
    }

    /**
     * The text.
     *
     * @param document the report
     * @param results its directory as README.md links to it
     */
    static String of(Document document, String results) {
        var text = new StringBuilder();
        var readme = new ReadmeText(document, results);
        readme.introduction(text);
        readme.table(text);
        readme.sentences(text);
        return text.toString();
    }

    private void introduction(StringBuilder text) {
        line(
                text,
                "Median milliseconds per call from Java, B 1, Hq 16, Hkv 8, D 128 (D256: Hkv 2), causal, element-wise"
                        + " sigmoid gate;%nthe peers followed by their own sigmoid and multiply, tuned as"
                        + " [docs/benchmarks.md](docs/benchmarks.md) says, all in turns in one%n%s run. %s, %d threads,"
                        + " %s, %s. Error is the largest relative L2%nerror of the row against float64.%n",
                document.full() ? "full" : "quick",
                document.machine(),
                document.threads(),
                document.jvm(),
                document.date());
    }

    private void table(StringBuilder text) {
        List<String> head = new ArrayList<>(List.of(""));
        head.addAll(COLUMNS.values());
        head.add("error");
        tableHead(text, head);
        boolean gaps = false;
        for (Implementation implementation : Implementation.values()) {
            List<Optional<Measured>> rows = COLUMNS.keySet().stream()
                    .map(workload -> document.row(workload, implementation))
                    .toList();
            if (rows.stream().allMatch(Optional::isEmpty)) {
                continue; // it is compared elsewhere
            }
            String emphasis = implementation.isLibrary() ? "**" : "";
            List<String> cells = new ArrayList<>(List.of(emphasis + implementation.title() + emphasis));
            for (Optional<Measured> row : rows) {
                Optional<Measured> present = row.filter(Measured::isPresent);
                gaps |= present.isEmpty();
                cells.add(present.map(m -> emphasis + significant(m.nanos() * TO_MILLIS) + emphasis)
                        .orElse(NONE));
            }
            OptionalDouble error = rows.stream()
                    .flatMap(Optional::stream)
                    .filter(Measured::isPresent)
                    .mapToDouble(Measured::error)
                    .max();
            cells.add(error.isPresent() ? format("%.1e", error.getAsDouble()) : NONE);
            tableRow(text, cells);
        }
        shares(text);
        text.append('\n');
        if (gaps) {
            line(text, "%s: not measured; the [report](%s/report.md) says why.%n", NONE, results);
        }
    }

    private void shares(StringBuilder text) {
        List<String> cells = new ArrayList<>(List.of("*this library's share of the peak, bf16 / f32*"));
        for (Workload workload : COLUMNS.keySet()) {
            String shares = Stream.of(Precision.BF16, Precision.F32)
                    .map(type -> share(workload, type))
                    .reduce((a, b) -> a + " / " + b)
                    .orElse(NONE);
            cells.add(shares);
        }
        cells.add("");
        tableRow(text, cells);
    }

    private String share(Workload workload, Precision type) {
        return measured(workload, Implementation.library(type))
                .map(Measured::share)
                .filter(share -> !share.isNaN())
                .map(ReportMarkdown::percent)
                .orElse(NONE);
    }

    private Optional<Measured> measured(Workload workload, Implementation implementation) {
        return document.row(workload, implementation).filter(Measured::isPresent);
    }

    private void sentences(StringBuilder text) {
        line(
                text,
                "The peak is what `limits` reached in the same rounds: %s of `%s` and %s of f32 FMA (medians of the"
                        + "%ncolumns), for decode the rate of reading as many bytes. %s%s%n",
                peak(Precision.BF16),
                instruction(),
                peak(Precision.F32),
                decode(),
                call());
        line(text, "![%s](%s/%s)%n", Picture.PREFILL_F32.caption(), results, Picture.PREFILL_F32.file());
        line(
                text,
                "Every row with its spread, decode over keys and batch, the gate's cost, scaling and calls:"
                        + " [the report](%s/report.md).",
                results);
    }

    private String instruction() {
        return measured(Workload.S1024, Implementation.GATED_ATTENTION_BF16)
                .map(row -> row.peak().words())
                .orElse("vdpbf16ps");
    }

    private String peak(Precision type) {
        double[] peaks = COLUMNS.keySet().stream()
                .filter(workload -> !workload.isDecode())
                .flatMap(workload -> measured(workload, Implementation.library(type)).stream())
                .mapToDouble(row -> row.peak().gigaPerSecond())
                .filter(peak -> peak > 0)
                .toArray();
        return peaks.length == 0 ? "an unknown rate" : format("%.0f GFLOP/s", Statistics.median(peaks));
    }

    private String decode() {
        Optional<Measured> few = measured(Workload.DECODE_512, Implementation.GATED_ATTENTION_BF16);
        Optional<Measured> many = measured(Workload.DECODE_32768, Implementation.GATED_ATTENTION_BF16);
        if (few.isEmpty() || many.isEmpty()) {
            return "";
        }
        return format(
                "Decode of 512 keys in bf16%ntakes %.0f µs; of 32,768 keys %s ms, %s of that rate. ",
                few.get().nanos() / 1e3,
                significant(many.get().nanos() * TO_MILLIS),
                share(Workload.DECODE_32768, Precision.BF16));
    }

    private String call() {
        List<Implementation> calls = List.of(Implementation.GATED_ATTENTION_F32, Implementation.BARE_F32);
        double[] nanos = calls.stream()
                .flatMap(implementation -> measured(Workload.CALL, implementation).stream())
                .mapToDouble(Measured::nanos)
                .toArray();
        return nanos.length < calls.size()
                ? ""
                : format(
                        "A call through `forward` takes %.0f ns%nat a tiny shape, the bare native call %.0f ns.",
                        nanos[0], nanos[1]);
    }
}
