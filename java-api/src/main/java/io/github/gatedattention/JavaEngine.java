package io.github.gatedattention;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/** The pure Java backend: checks a call, and computes it with vectors or with plain loops. */
final class JavaEngine implements Engine {
    private final Settings settings;
    private final JavaPath path;
    private volatile boolean closed;

    /**
     * Opens.
     *
     * @param vectors whether to use {@code jdk.incubator.vector}, which is then there
     */
    JavaEngine(Settings settings, boolean vectors) {
        this.settings = settings;
        this.path = vectors ? new VectorPath(settings) : new PlainPath(settings);
    }

    /** {@inheritDoc} */
    record Prepared(JavaEngine engine, Operands operands) implements PreparedForward {
        @Override
        public void run() {
            Operands o = operands;
            engine.run(
                    o.q(),
                    o.k(),
                    o.v(),
                    o.gate(),
                    o.out(),
                    o.normWeight(),
                    o.sequences(),
                    o.lse(),
                    o.sink(),
                    o.scales());
        }
    }

    @Override
    public void forward(
            Tensor q,
            Tensor k,
            Tensor v,
            @Nullable Tensor gate,
            Tensor out,
            @Nullable Tensor normWeight,
            @Nullable Sequences sequences,
            @Nullable Tensor lse,
            @Nullable Tensor sink,
            @Nullable Scales scales) {
        checkOpen();
        CallCheck.check(settings, q, k, v, gate, out, normWeight, sequences, lse, sink, scales);
        run(q, k, v, gate, out, normWeight, sequences, lse, sink, scales);
    }

    @Override
    public PreparedForward prepare(Operands operands) {
        checkOpen();
        CallCheck.check(settings, operands);
        return new Prepared(this, operands);
    }

    @Override
    @SuppressWarnings("ShortCircuitBoolean") // every tensor is to be checked
    public void merge(MergeOperands o) {
        checkOpen();
        MergeCheck.check(settings, o);
        boolean shared = checkAccess("partialOut", o.partialOut())
                & checkAccess("partialLse", o.partialLse())
                & checkAccess("gate", o.gate())
                & checkAccess("out", o.out())
                & checkAccess("normWeight", o.normWeight())
                & checkAccess("lse", o.lse())
                & checkAccess("sink", o.sink());
        path.merge(o, shared);
        checkStillOpen("partialOut", o.partialOut());
        checkStillOpen("partialLse", o.partialLse());
        checkStillOpen("gate", o.gate());
        checkStillOpen("out", o.out());
        checkStillOpen("normWeight", o.normWeight());
        checkStillOpen("lse", o.lse());
        checkStillOpen("sink", o.sink());
    }

    @Override
    public void backward(BackwardOperands o) {
        checkOpen();
        BackwardCheck.check(settings, o);
        boolean shared = true;
        for (int n = 0; n < BackwardOperands.TENSORS; n++) {
            shared &= checkAccess(BackwardOperands.name(n), o.tensor(n));
        }
        path.backward(o, shared);
        for (int n = 0; n < BackwardOperands.TENSORS; n++) {
            checkStillOpen(BackwardOperands.name(n), o.tensor(n));
        }
    }

    @Override
    @SuppressWarnings("ShortCircuitBoolean") // every tensor is to be checked
    public AttentionStatistics measure(Operands o, AttentionProbe probe) {
        checkOpen();
        MeasureCheck.check(settings, o);
        Tensor lse = Objects.requireNonNull(o.lse());
        boolean shared = checkAccess("q", o.q())
                & checkAccess("k", o.k())
                & checkAccess("lse", lse)
                & checkAccess(o.sequences());
        AttentionStatistics statistics = path.measure(o, lse, probe, shared);
        checkStillOpen("q", o.q());
        checkStillOpen("k", o.k());
        checkStillOpen("lse", lse);
        return statistics;
    }

    @Override
    public ValueStatistics measure(Tensor values, ValueProbe probe) {
        checkOpen();
        MeasureCheck.check(values);
        ValueStatistics statistics = path.measure(values, probe, checkAccess("values", values));
        checkStillOpen("values", values);
        return statistics;
    }

    @SuppressWarnings("ShortCircuitBoolean") // every tensor is to be checked
    private void run(
            Tensor q,
            Tensor k,
            Tensor v,
            @Nullable Tensor gate,
            Tensor out,
            @Nullable Tensor normWeight,
            @Nullable Sequences sequences,
            @Nullable Tensor lse,
            @Nullable Tensor sink,
            @Nullable Scales scales) {
        checkOpen();
        boolean shared = checkAccess("q", q)
                & checkAccess("k", k)
                & checkAccess("v", v)
                & checkAccess("gate", gate)
                & checkAccess("out", out)
                & checkAccess("normWeight", normWeight)
                & checkAccess("lse", lse)
                & checkAccess("sink", sink)
                & checkAccess(sequences)
                & checkAccess(scales);
        path.run(q, k, v, gate, out, normWeight, sequences, lse, sink, scales, shared);
        // An input whose arena closed after its last use would go unnoticed, and only sometimes.
        checkStillOpen("q", q);
        checkStillOpen("k", k);
        checkStillOpen("v", v);
        checkStillOpen("gate", gate);
        checkStillOpen("out", out);
        checkStillOpen("normWeight", normWeight);
        checkStillOpen("lse", lse);
        checkStillOpen("sink", sink);
        for (int n = 0; sequences != null && n < Sequences.TENSORS; n++) {
            checkStillOpen(Sequences.name(n), sequences.tensor(n));
        }
        for (int n = 0; scales != null && n < Scales.TENSORS; n++) {
            checkStillOpen(Scales.name(n), scales.tensor(n));
        }
    }

    /**
     * Refuses closed arenas and those of other threads, before anything is written.
     *
     * @return whether helpers may touch the tensor; those of a confined arena are for the calling thread alone
     */
    static boolean checkAccess(String name, @Nullable Tensor tensor) {
        if (tensor == null) {
            return true;
        }
        if (!tensor.segment().isAccessibleBy(Thread.currentThread())) {
            throw new WrongThreadException(name + " belongs to a confined arena of another thread than "
                    + Thread.currentThread().getName() + "; allocate it from Arena.ofShared()");
        }
        CallCheck.requireOpen(name, tensor);
        return TensorMemory.isForAllThreads(tensor.segment());
    }

    private static boolean checkAccess(@Nullable Sequences sequences) {
        boolean shared = true;
        for (int n = 0; sequences != null && n < Sequences.TENSORS; n++) {
            shared &= checkAccess(Sequences.name(n), sequences.tensor(n));
        }
        return shared;
    }

    @SuppressWarnings("ShortCircuitBoolean") // both are to be checked
    private static boolean checkAccess(@Nullable Scales scales) {
        return scales == null
                || (checkAccess(Scales.name(0), scales.keys()) & checkAccess(Scales.name(1), scales.values()));
    }

    private static void checkStillOpen(String name, @Nullable Tensor tensor) {
        if (tensor != null) {
            CallCheck.requireOpen(name, tensor);
        }
    }

    private void checkOpen() {
        if (closed) {
            throw Engine.closed();
        }
    }

    @Override
    public Plan explain(Operands operands) {
        checkOpen();
        CallCheck.check(settings, operands);
        return path.plan(operands, Work.of(settings, operands));
    }

    @Override
    public Plan explain(BackwardOperands operands) {
        checkOpen();
        BackwardCheck.check(settings, operands);
        return path.plan(operands, Work.of(settings, operands));
    }

    @Override
    public InstructionSet instructionSet() {
        return InstructionSet.SCALAR;
    }

    @Override
    public void close() {
        closed = true;
        path.close();
    }
}
