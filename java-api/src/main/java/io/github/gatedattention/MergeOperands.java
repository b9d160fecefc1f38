package io.github.gatedattention;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The tensors of one {@link GatedAttention#merge}: N partial results over disjoint sets of keys, and where their merged
 * result goes. A partial result is what {@link GatedAttention#forward(Operands)} gives with {@link Gate#none()} and no sink: its
 * {@code out} and its {@code lse}.
 *
 * <p>B, Sq, Hq and Dv are as in {@link Operands}. The last axis of every tensor but the log-sum-exps is contiguous.
 *
 * @param partialOut the partial outputs {@code [N, B, Sq, Hq, Dv]}, F32, BF16 or F16
 * @param partialLse their log-sum-exps, F32 {@code [N, B, Hq, Sq]}; where one is negative infinity, the part saw no key and its
 *     output does not count
 * @param gate scores as in {@link Operands#gate}; null exactly when the attention's gate is {@link Gate#none()}
 * @param out the result {@code [B, Sq, Hq, Dv]}, of the attention's data type; may be exactly gate, else overlaps no other
 *     tensor
 * @param normWeight as in {@link Operands#normWeight}
 * @param lse receives the natural logarithm of the softmax denominators over all keys, F32 {@code [B, Hq, Sq]}; null: not
 *     wanted
 * @param sink as in {@link Operands#sink}; counted here, once
 */
public record MergeOperands(
        Tensor partialOut,
        Tensor partialLse,
        @Nullable Tensor gate,
        Tensor out,
        @Nullable Tensor normWeight,
        @Nullable Tensor lse,
        @Nullable Tensor sink) {

    /**
     * Checks that the tensors every merge needs are there.
     *
     * @throws NullPointerException when partialOut, partialLse or out is null
     */
    public MergeOperands {
        Objects.requireNonNull(partialOut, "partialOut is null");
        Objects.requireNonNull(partialLse, "partialLse is null");
        Objects.requireNonNull(out, "out is null");
    }

    /**
     * The tensors of a plain merge.
     *
     * @param partialOut the partial outputs
     * @param partialLse their log-sum-exps
     * @param gate scores, or null for {@link Gate#none()}
     * @param out the result
     * @return operands without the optional ones
     */
    public static MergeOperands of(Tensor partialOut, Tensor partialLse, @Nullable Tensor gate, Tensor out) {
        return new MergeOperands(partialOut, partialLse, gate, out, null, null, null);
    }

    /**
     * These operands with a weight for the RMSNorm.
     *
     * @param weight {@code [Hq, Dv]}, or null for none
     * @return the changed operands
     */
    public MergeOperands withNormWeight(@Nullable Tensor weight) {
        return new MergeOperands(partialOut, partialLse, gate, out, weight, lse, sink);
    }

    /**
     * These operands with a place for the log-sum-exp.
     *
     * @param logSumExp F32 {@code [B, Hq, Sq]}, or null for none
     * @return the changed operands
     */
    public MergeOperands withLse(@Nullable Tensor logSumExp) {
        return new MergeOperands(partialOut, partialLse, gate, out, normWeight, logSumExp, sink);
    }

    /**
     * These operands with an attention sink.
     *
     * @param logits {@code [Hq]}, or null for none
     * @return the changed operands
     */
    public MergeOperands withSink(@Nullable Tensor logits) {
        return new MergeOperands(partialOut, partialLse, gate, out, normWeight, lse, logits);
    }
}
