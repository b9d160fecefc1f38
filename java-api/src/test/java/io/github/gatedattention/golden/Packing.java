package io.github.gatedattention.golden;

import io.github.gatedattention.Tensor;
import java.util.List;

/** Where q and the gate lie in a row of the query projection. */
enum Packing {
    /** The row is q alone: {@code [Hq, D]}. */
    Q_ONLY,
    /** The official models, a score per head: {@code [Hkv, R D of q, then R of gate]}. */
    GROUPED_HEADWISE,
    /** The official models, a score per element: {@code [Hkv, R D of q, then R D of gate]}. */
    GROUPED_ELEMENTWISE,
    /** Qwen3-Next: {@code [Hq, D of q, then D of gate]}. */
    PER_HEAD;

    boolean grouped() {
        return this == GROUPED_HEADWISE || this == GROUPED_ELEMENTWISE;
    }

    /** Scores per head. */
    int gateWidth(int dim) {
        return switch (this) {
            case Q_ONLY -> 0;
            case GROUPED_HEADWISE -> 1;
            case GROUPED_ELEMENTWISE, PER_HEAD -> dim;
        };
    }

    /** Elements of a row. */
    int rowLength(int headsQ, int dim) {
        return headsQ * (dim + gateWidth(dim));
    }

    /** Where a head's q begins in the row. */
    int queryOffset(int head, int group, int dim) {
        return switch (this) {
            case Q_ONLY -> head * dim;
            case PER_HEAD -> head * 2 * dim;
            case GROUPED_HEADWISE, GROUPED_ELEMENTWISE ->
                head / group * group * (dim + gateWidth(dim)) + head % group * dim;
        };
    }

    /** Where a head's gate begins in the row. */
    int gateOffset(int head, int group, int dim) {
        return switch (this) {
            case Q_ONLY -> throw new IllegalStateException("no gate");
            case PER_HEAD -> head * 2 * dim + dim;
            case GROUPED_HEADWISE, GROUPED_ELEMENTWISE ->
                head / group * group * (dim + gateWidth(dim)) + group * dim + head % group * gateWidth(dim);
        };
    }

    /** Views of {@code packed [B, S, row]} as {@code q [B, S, Hq, D]} and, but for {@link #Q_ONLY}, {@code gate} likewise. */
    List<Tensor> split(Tensor packed, int headsQ, int dim) {
        long batch = packed.dim(0);
        long sequence = packed.dim(1);
        return switch (this) {
            case Q_ONLY -> List.of(packed.reshape(batch, sequence, headsQ, dim));
            case PER_HEAD -> packed.reshape(batch, sequence, headsQ, 2L * dim).split(3, dim, dim);
            case GROUPED_HEADWISE, GROUPED_ELEMENTWISE ->
                throw new IllegalStateException("no single stride leads from head to head; see splitGroups");
        };
    }

    /**
     * Views of one sequence of a grouped projection, {@code [S, row]}. The heads of a group are evenly spaced and so are the groups,
     * but not all heads: so groups take the place of the batch, {@code q [Hkv, S, R, D]} and {@code gate [Hkv, S, R, D or 1]}.
     */
    List<Tensor> splitGroups(Tensor sequence, int headsKv, int group, int dim) {
        long length = sequence.dim(0);
        int width = gateWidth(dim);
        List<Tensor> parts = sequence.reshape(length, headsKv, (long) group * (dim + width))
                .transpose(0, 1)
                .split(2, (long) group * dim, (long) group * width);
        return List.of(
                parts.get(0).reshape(headsKv, length, group, dim), parts.get(1).reshape(headsKv, length, group, width));
    }
}
