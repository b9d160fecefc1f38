package io.github.gatedattention;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * One projection's output, as heads, and what an {@link AttentionPrologue} does to it: {@code rotate(norm(in * a(gate)))}.
 *
 * <p>B is the batch, S the tokens, H the heads, D their dimension. The last axis of every tensor is contiguous.
 *
 * @param in {@code [B, S, H, D]} of the prologue's data type; queries of a grouped projection {@code [B, S, Hkv, R, D]}, where it
 *     has them
 * @param gate scores {@code [B, S, H, D]}, F32, BF16 or F16; any axis may have extent 1, then it is shared along it; null exactly
 *     when the prologue has no such gate
 * @param normWeight {@code [D]} or {@code [H, D]}, F32, BF16 or F16; null: 1, or there is no norm
 * @param out of the shape and type of in; may be exactly in, else overlaps no other tensor. Ignored where a cache takes the result
 */
public record ProjectedHeads(
        Tensor in, @Nullable Tensor gate, @Nullable Tensor normWeight, Tensor out) {

    /**
     * Checks that the tensors that are always needed are there.
     *
     * @throws NullPointerException when in or out is null
     */
    public ProjectedHeads {
        Objects.requireNonNull(in, "in is null");
        Objects.requireNonNull(out, "out is null");
    }

    /**
     * Heads that are written in place.
     *
     * @param heads {@code [B, S, H, D]}, in and out
     * @return heads without gate and weight
     */
    public static ProjectedHeads inPlace(Tensor heads) {
        return new ProjectedHeads(heads, null, null, heads);
    }

    /**
     * Heads whose result goes elsewhere.
     *
     * @param in {@code [B, S, H, D]}
     * @param out likewise
     * @return heads without gate and weight
     */
    public static ProjectedHeads of(Tensor in, Tensor out) {
        return new ProjectedHeads(in, null, null, out);
    }

    /**
     * These heads with the scores of a gate.
     *
     * @param scores {@code [B, S, H, D]}, or null for none
     * @return the changed heads
     */
    public ProjectedHeads withGate(@Nullable Tensor scores) {
        return new ProjectedHeads(in, scores, normWeight, out);
    }

    /**
     * These heads with a weight for the RMSNorm.
     *
     * @param weight {@code [D]} or {@code [H, D]}, or null for none
     * @return the changed heads
     */
    public ProjectedHeads withNormWeight(@Nullable Tensor weight) {
        return new ProjectedHeads(in, gate, weight, out);
    }
}
