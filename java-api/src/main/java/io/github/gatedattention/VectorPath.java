package io.github.gatedattention;

import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Java's Vector API; allocates nothing once as many calls have run at the same time as ever do. */
final class VectorPath implements JavaPath {
    private final Settings settings;
    private final VectorRuntime runtime;
    /** For merges, gradients, measurements, and calls with a sequence whose keys no array can hold; it has no thread until it works. */
    private final PlainPath plain;

    private boolean closed; // guarded by this

    VectorPath(Settings settings) {
        this.settings = settings;
        this.runtime = VectorRuntime.acquire(settings.threads());
        this.plain = new PlainPath(settings);
    }

    @Override
    public void run(
            Tensor q,
            Tensor k,
            Tensor v,
            @Nullable Tensor gate,
            Tensor out,
            @Nullable Tensor normWeight,
            @Nullable Sequences sequences,
            @Nullable Tensor lse,
            @Nullable Tensor sink,
            @Nullable Scales scales,
            boolean help) {
        VectorCall call = runtime.calls().take();
        boolean done;
        try {
            done = call.run(
                    settings, q, k, v, gate, out, normWeight, sequences, lse, sink, scales, runtime.helpers(), help);
        } finally {
            runtime.calls().giveBack(call);
        }
        if (!done) {
            plain.run(q, k, v, gate, out, normWeight, sequences, lse, sink, scales, help);
        }
    }

    /** In plain loops: there is little to compute. */
    @Override
    public void merge(MergeOperands operands, boolean help) {
        plain.merge(operands, help);
    }

    /** In plain loops: there is no vector kernel for it. */
    @Override
    public void backward(BackwardOperands operands, boolean help) {
        plain.backward(operands, help);
    }

    @Override
    public AttentionStatistics measure(Operands operands, Tensor lse, AttentionProbe probe, boolean help) {
        return plain.measure(operands, lse, probe, help);
    }

    @Override
    public ValueStatistics measure(Tensor values, ValueProbe probe, boolean help) {
        return plain.measure(values, probe, help);
    }

    @Override
    public Plan plan(Operands operands, Work work) {
        VectorCall.Cut cut = VectorCall.cut(settings, operands);
        if (cut == null) {
            return plain.plan(operands, work);
        }
        return new Plan(
                "java",
                String.format(Locale.ROOT, "java_vector_%s_%d", settings.dataType(), VectorMath.SPECIES.vectorBitSize())
                        .toLowerCase(Locale.ROOT),
                InstructionSet.SCALAR,
                settings.threads(),
                cut.queryBlock(),
                VectorRows.KEYS,
                cut.tasks(),
                settings.threads() * VectorRows.bytes(settings) + cut.bytes(),
                work.flop(),
                work.bytes());
    }

    @Override
    public Plan plan(BackwardOperands operands, Work work) {
        return plain.plan(operands, work);
    }

    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            runtime.release();
            plain.close();
        }
    }
}
