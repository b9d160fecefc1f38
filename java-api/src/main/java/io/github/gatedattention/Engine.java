package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** One {@link GatedAttention} on one backend. Safe from any thread. */
sealed interface Engine extends AutoCloseable permits JavaEngine, NativeEngine {

    /** Checks the operands and computes; the parameters are those of {@link Operands}. */
    void forward(
            Tensor q,
            Tensor k,
            Tensor v,
            @Nullable Tensor gate,
            Tensor out,
            @Nullable Tensor normWeight,
            @Nullable Sequences sequences,
            @Nullable Tensor lse,
            @Nullable Tensor sink,
            @Nullable Scales scales);

    /** The same with the operands in one. */
    default void forward(Operands o) {
        forward(o.q(), o.k(), o.v(), o.gate(), o.out(), o.normWeight(), o.sequences(), o.lse(), o.sink(), o.scales());
    }

    PreparedForward prepare(Operands operands);

    /** Checks the operands and merges. */
    void merge(MergeOperands operands);

    /** Checks the operands and computes gradients. */
    void backward(BackwardOperands operands);

    /** Checks the operands, which a forward call was made with, and measures. */
    AttentionStatistics measure(Operands operands, AttentionProbe probe);

    /** Checks the values and counts. */
    ValueStatistics measure(Tensor values, ValueProbe probe);

    Plan explain(Operands operands);

    Plan explain(BackwardOperands operands);

    InstructionSet instructionSet();

    /** Refuses later calls; those that run finish. Closing twice is closing once. */
    @Override
    void close();

    static IllegalStateException closed() {
        return new IllegalStateException("this GatedAttention is closed; build another one");
    }
}
