package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** A way to compute in Java. Checks nothing but what the tensors of the sequences hold: {@link JavaEngine} does. */
interface JavaPath extends AutoCloseable {
    /**
     * Computes; the parameters are those of {@link Operands}.
     *
     * @param help whether other threads may touch the tensors
     */
    void run(
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
            boolean help);

    /** Merges; help as there. */
    void merge(MergeOperands operands, boolean help);

    /** Computes gradients; help as there. */
    void backward(BackwardOperands operands, boolean help);

    /** Measures; help as there. */
    AttentionStatistics measure(Operands operands, Tensor lse, AttentionProbe probe, boolean help);

    /** Counts; help as there. */
    ValueStatistics measure(Tensor values, ValueProbe probe, boolean help);

    /** What {@link #run} would do, which is so much work. */
    Plan plan(Operands operands, Work work);

    /** What {@link #backward} would do, which is so much work. */
    Plan plan(BackwardOperands operands, Work work);

    /** Lets helpers go; closing twice is closing once. */
    @Override
    void close();
}
