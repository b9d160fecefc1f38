package io.github.gatedattention;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The tensors of one call, the optional ones by name.
 *
 * <p>B is the batch, Sq and Sk the lengths of queries and keys, Hq and Hkv the heads, D and Dv the head dimensions. The
 * last axis of every tensor is contiguous; the others may have any stride.
 *
 * @param q queries {@code [B, Sq, Hq, D]}, of the attention's data type
 * @param k keys {@code [B, Sk, Hkv, D]}, of the attention's data type, where that is F32 also BF16 or F16; or I8 with scales
 * @param v values {@code [B, Sk, Hkv, Dv]}, of the type of k
 * @param gate scores {@code [B, Sq, Hq, Dv]} (elementwise) or {@code [B, Sq, Hq, 1]} (headwise), F32, BF16 or F16; an
 *     axis of 1 is shared along; null exactly when the attention's gate is {@link Gate#none()}
 * @param out the result {@code [B, Sq, Hq, Dv]}, of the attention's data type; may be exactly q or exactly gate, else
 *     overlaps no other tensor
 * @param normWeight weights {@code [Hq, Dv]} of the RMSNorm, F32, BF16 or F16; an axis of 1 is shared along; null: none
 * @param sequences where the sequences lie and how long each is; null: B sequences of Sq queries and Sk keys. With packed
 *     queries the batch axis of q, gate, out and lse is 1, with packed keys that of k and v; paged, k and v are
 *     {@code [pages, page size, Hkv, D or Dv]}
 * @param lse receives the natural logarithm of each softmax denominator, F32 {@code [B, Hq, Sq]}; null: not wanted
 * @param sink logits {@code [Hq]}, F32, BF16 or F16, one more term {@code exp(sink)} of each softmax denominator, as of a
 *     key without a value; an axis of 1 is shared along; null: none
 * @param scales what the whole numbers of k and v are multiplied by; null exactly when these are not I8
 */
public record Operands(
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

    /**
     * Checks that the tensors every call needs are there.
     *
     * @throws NullPointerException when q, k, v or out is null
     */
    public Operands {
        Objects.requireNonNull(q, "q is null");
        Objects.requireNonNull(k, "k is null");
        Objects.requireNonNull(v, "v is null");
        Objects.requireNonNull(out, "out is null");
    }

    /**
     * The tensors of a plain call.
     *
     * @param q queries
     * @param k keys
     * @param v values
     * @param gate scores, or null for {@link Gate#none()}
     * @param out the result
     * @return operands without the optional ones
     */
    public static Operands of(Tensor q, Tensor k, Tensor v, @Nullable Tensor gate, Tensor out) {
        return new Operands(q, k, v, gate, out, null, null, null, null, null);
    }

    /**
     * These operands with a weight for the RMSNorm.
     *
     * @param weight {@code [Hq, Dv]}, or null for none
     * @return the changed operands
     */
    public Operands withNormWeight(@Nullable Tensor weight) {
        return new Operands(q, k, v, gate, out, weight, sequences, lse, sink, scales);
    }

    /**
     * These operands with sequences of their own lengths, in place of those given before.
     *
     * @param newSequences where the sequences lie, or null for full ones
     * @return the changed operands
     */
    public Operands withSequences(@Nullable Sequences newSequences) {
        return new Operands(q, k, v, gate, out, normWeight, newSequences, lse, sink, scales);
    }

    /**
     * These operands with a number of keys per sequence: short for {@link #withSequences} of {@link Sequences#padded}.
     *
     * @param lengths I32 {@code [B]}, each 0 to Sk, or null for full sequences
     * @return the changed operands
     */
    public Operands withKeyLengths(@Nullable Tensor lengths) {
        return withSequences(lengths == null ? null : Sequences.padded(null, lengths));
    }

    /**
     * These operands with a place for the log-sum-exp.
     *
     * @param logSumExp F32 {@code [B, Hq, Sq]}, or null for none
     * @return the changed operands
     */
    public Operands withLse(@Nullable Tensor logSumExp) {
        return new Operands(q, k, v, gate, out, normWeight, sequences, logSumExp, sink, scales);
    }

    /**
     * These operands with an attention sink.
     *
     * @param logits {@code [Hq]}, or null for none
     * @return the changed operands
     */
    public Operands withSink(@Nullable Tensor logits) {
        return new Operands(q, k, v, gate, out, normWeight, sequences, lse, logits, scales);
    }

    /**
     * These operands with what the whole numbers of I8 keys and values are multiplied by.
     *
     * @param newScales the scales, or null for none
     * @return the changed operands
     */
    public Operands withScales(@Nullable Scales newScales) {
        return new Operands(q, k, v, gate, out, normWeight, sequences, lse, sink, newScales);
    }
}
