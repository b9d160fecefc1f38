package io.github.gatedattention.cli.demo;

import io.github.gatedattention.DataType;
import io.github.gatedattention.baselines.AttentionShape;
import io.github.gatedattention.baselines.FloatAttention;
import io.github.gatedattention.baselines.Layout;
import io.github.gatedattention.baselines.PlainJavaAttention;
import io.github.gatedattention.baselines.VectorApiAttention;
import java.util.function.Function;

/** Attention in Java alone, on the same inputs widened to float32. */
final class JavaContestants {
    /** Keys of an average decode step. */
    private static final int DECODE_KEYS = Layer.PROMPT + Layer.STEPS / 2;

    private final Layer layer;
    private final int threads;

    JavaContestants(Layer layer, int threads) {
        this.layer = layer;
        this.threads = threads;
    }

    /** Whether this JVM was started with the Vector API. */
    static boolean hasVectorApi() {
        return ModuleLayer.boot().findModule("jdk.incubator.vector").isPresent();
    }

    /** Plain loops: seconds per prefill, so few runs. */
    Contestant plain() {
        return measure(
                "plain Java, f32",
                shape -> new PlainJavaAttention(shape, threads),
                new Stopwatch(0, 5, 3),
                new Stopwatch(0.5, 1, 50));
    }

    /** Java's Vector API: fast once C2 has compiled it, after some 20 calls. */
    Contestant vector() {
        return measure(
                "Vector API, f32",
                shape -> new VectorApiAttention(shape, threads),
                new Stopwatch(4, 4, 15),
                new Stopwatch(1, 1, 200));
    }

    private Contestant measure(
            String name,
            Function<AttentionShape, FloatAttention> implementation,
            Stopwatch prefillWatch,
            Stopwatch decodeWatch) {
        Problem prefill = layer.prefillProblem();
        float[] out = new float[prefill.q().length];
        double prefillSeconds = seconds(prefill, implementation, prefillWatch, out);
        double error =
                prefill.accuracy(out, DataType.F32, Comparison.QUERY_STEP).relative();
        Problem decode = layer.decodeProblem(DECODE_KEYS);
        double decodeSeconds = seconds(decode, implementation, decodeWatch, new float[decode.q().length]);
        return new Contestant(name, prefillSeconds, decodeSeconds, error);
    }

    private static double seconds(
            Problem problem, Function<AttentionShape, FloatAttention> implementation, Stopwatch watch, float[] out) {
        var shape = new AttentionShape(
                1,
                problem.queryHeads(),
                problem.keyValueHeads(),
                problem.queries(),
                problem.keys(),
                problem.dim(),
                true,
                Layout.SEQUENCE_MAJOR);
        try (FloatAttention attention = implementation.apply(shape)) {
            return watch.median(() -> attention.forward(problem.q(), problem.k(), problem.v(), problem.gate(), out));
        }
    }
}
