package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/**
 * The tensors of one {@link AttentionPrologue#run}: up to three projections of the same tokens.
 *
 * @param q queries, or null: there are none in this call
 * @param k keys, or null
 * @param v values, or null
 * @param positions where each token stands, I32 {@code [B, S]}, or {@code [1, S]} for all sequences alike; null: token s stands at
 *     {@code firstPosition + s}
 * @param firstPosition at least 0
 */
public record PrologueOperands(
        @Nullable ProjectedHeads q,
        @Nullable ProjectedHeads k,
        @Nullable ProjectedHeads v,
        @Nullable Tensor positions,
        long firstPosition) {

    /**
     * Checks that there is something to do.
     *
     * @throws IllegalArgumentException when q, k and v are null, or firstPosition is negative
     */
    public PrologueOperands {
        if (q == null && k == null && v == null) {
            throw new IllegalArgumentException("q, k and v are null, but a prologue has at least one of them");
        }
        if (firstPosition < 0) {
            throw new IllegalArgumentException("firstPosition is " + firstPosition + ", but must be at least 0");
        }
    }

    /**
     * Tokens that stand at 0, 1, 2 and so on.
     *
     * @param q queries, or null
     * @param k keys, or null
     * @param v values, or null
     * @return the operands
     */
    public static PrologueOperands of(
            @Nullable ProjectedHeads q, @Nullable ProjectedHeads k, @Nullable ProjectedHeads v) {
        return new PrologueOperands(q, k, v, null, 0);
    }

    /**
     * These operands with tokens that stand at {@code first}, {@code first + 1} and so on.
     *
     * @param first at least 0
     * @return the changed operands
     */
    public PrologueOperands from(long first) {
        return new PrologueOperands(q, k, v, null, first);
    }

    /**
     * These operands with a position per token.
     *
     * @param numbers I32 {@code [B, S]} or {@code [1, S]}
     * @return the changed operands
     */
    public PrologueOperands at(Tensor numbers) {
        return new PrologueOperands(q, k, v, numbers, 0);
    }

    /** q, k or v by number. */
    @Nullable
    ProjectedHeads part(int n) {
        return n == 0 ? q : n == 1 ? k : v;
    }

    /** Any of those that are there: all have the same batch and tokens. */
    Tensor any() {
        ProjectedHeads heads = q != null ? q : k != null ? k : v;
        if (heads == null) {
            throw new IllegalStateException("checked before");
        }
        return heads.in();
    }
}
