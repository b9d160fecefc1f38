package io.github.gatedattention.bench.sidebyside;

import io.github.gatedattention.bench.Gating;
import io.github.gatedattention.bench.Precision;
import io.github.gatedattention.bench.Workload;
import io.github.gatedattention.bench.peers.Implementation;
import io.github.gatedattention.reporting.ChartStyle;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;
import java.util.Set;
import java.util.TreeMap;
import java.util.function.Predicate;
import java.util.stream.Stream;
import org.knowm.xchart.internal.chartpart.IChart;

/** The pictures of a report. */
enum Picture {
    /** Prefill in f32. */
    PREFILL_F32(Section.PREFILL, "prefill-f32.png", "Prefill in f32, time over the length of the sequence"),
    /** Prefill in bf16. */
    PREFILL_BF16(Section.PREFILL, "prefill-bf16.png", "Prefill in bf16, time over the length of the sequence"),
    /** Decode. */
    DECODE(Section.DECODE, "decode.png", "Decode, time over the keys in the cache"),
    /** The gate's cost in prefill. */
    GATE_PREFILL(Section.GATE, "gate-prefill.png", "What the gate adds to prefill of 1,024 tokens"),
    /** The gate's cost in decode. */
    GATE_DECODE(Section.GATE, "gate-decode.png", "What the gate adds to decode over 4,096 keys"),
    /** Scaling. */
    THREADS(Section.THREADS, "threads.png", "Times as fast as with one thread");

    private static final double TO_MILLIS = 1e-6;
    private static final String SHAPE = "B 1, Hq 16, Hkv 8, D 128, causal, sigmoid gate, element-wise unless said";

    private final Section section;
    private final String file;
    private final String caption;

    Picture(Section section, String file, String caption) {
        this.section = section;
        this.file = file;
        this.caption = caption;
    }

    Section section() {
        return section;
    }

    String file() {
        return file;
    }

    String caption() {
        return caption;
    }

    boolean hasData(Document document) {
        return switch (this) {
            case PREFILL_F32, PREFILL_BF16, DECODE -> !lines(document).isEmpty();
            case GATE_PREFILL, GATE_DECODE, THREADS -> !bars(document).isEmpty();
        };
    }

    /** The picture as a PNG. */
    byte[] png(Document document) throws IOException {
        IChart chart = switch (this) {
            case PREFILL_F32, PREFILL_BF16 -> LineChart.of(caption, "tokens", lines(document));
            case DECODE -> LineChart.of(caption, "keys, one query", lines(document));
            case GATE_PREFILL, GATE_DECODE ->
                bars(document).chart(caption, "per cent of the time without a gate", "0.0");
            case THREADS ->
                bars(document).chart(caption, "speed-up over one thread of the same implementation", "0.00");
        };
        return ChartStyle.png(
                chart,
                document.machine() + ", " + document.date() + (this == THREADS ? "" : threads(document)) + "; "
                        + SHAPE);
    }

    private static String threads(Document document) {
        return ", " + document.threads() + (document.threads() == 1 ? " thread" : " threads");
    }

    private List<LineChart.Line> lines(Document document) {
        Predicate<Implementation> shown = switch (this) {
            case PREFILL_F32 -> implementation -> implementation.precision() == Precision.F32;
            case PREFILL_BF16 ->
                implementation -> implementation.precision() == Precision.BF16 || BESIDE_BF16.contains(implementation);
            default -> implementation -> true;
        };
        List<Workload> workloads = Stream.of(Workload.values())
                .filter(workload -> this == DECODE
                        ? workload.isDecode() && workload.shape().batch() == 1
                        : !workload.isDecode() && workload.shape().headDim() == 128)
                .filter(workload -> workload.gating() == Gating.ELEMENTWISE && workload != Workload.CALL)
                .toList();
        List<LineChart.Line> lines = new ArrayList<>();
        for (Implementation implementation : Implementation.values()) {
            var millis = new TreeMap<Integer, Double>();
            for (Workload workload : workloads) {
                document.row(workload, implementation)
                        .filter(Measured::isPresent)
                        .ifPresent(row -> millis.put(workload.shape().keyLength(), row.nanos() * TO_MILLIS));
            }
            if (shown.test(implementation) && !millis.isEmpty()) {
                lines.add(new LineChart.Line(implementation, millis));
            }
        }
        return lines;
    }

    private BarChart bars(Document document) {
        var chart = new BarChart();
        if (this == THREADS) {
            speedUps(document, chart);
        } else {
            gateCosts(document, chart);
        }
        return chart;
    }

    private void gateCosts(Document document, BarChart chart) {
        for (Measured row : document.of(Section.GATE)) {
            Entry entry = row.entry();
            boolean decode = this == GATE_DECODE;
            Optional<Measured> ungated = document.row(
                            Section.GATE,
                            decode ? Workload.DECODE_4096_UNGATED : Workload.S1024_UNGATED,
                            entry.implementation(),
                            entry.threads())
                    .filter(Measured::isPresent);
            boolean isGated = entry.workload().gating() != Gating.NONE;
            if (row.isPresent() && isGated && entry.workload().isDecode() == decode && ungated.isPresent()) {
                double added = 100 * (row.nanos() / ungated.get().nanos() - 1);
                chart.add(
                        entry.workload().gating().title(),
                        entry.implementation().title(),
                        added);
            }
        }
    }

    private static void speedUps(Document document, BarChart chart) {
        for (Measured row : document.of(Section.THREADS)) {
            Entry entry = row.entry();
            Optional<Measured> one = document.row(Section.THREADS, entry.workload(), entry.implementation(), 1)
                    .filter(Measured::isPresent);
            if (row.isPresent() && entry.threads() > 1 && one.isPresent()) {
                String what = entry.workload().isDecode()
                        ? String.format(
                                Locale.ROOT,
                                "decode, %,d keys",
                                entry.workload().shape().keyLength())
                        : String.format(
                                Locale.ROOT,
                                "prefill, %,d tokens",
                                entry.workload().shape().keyLength());
                chart.add(
                        what + ", " + entry.threads() + " threads",
                        entry.implementation().title(),
                        one.get().nanos() / row.nanos());
            }
        }
    }

    /** What the bf16 lines are drawn beside: f32 is what most peers have instead. */
    private static final Set<Implementation> BESIDE_BF16 =
            Set.of(Implementation.GATED_ATTENTION_F32, Implementation.ONNX_RUNTIME_F32, Implementation.PYTORCH_F32);
}
