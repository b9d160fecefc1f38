package io.github.gatedattention.baselines;

/** The order of the axes of every operand. */
public enum Layout {
    /** {@code [batch, sequence, head, dim]}: what projections produce. */
    SEQUENCE_MAJOR,
    /** {@code [batch, head, sequence, dim]}: the rows of one head are contiguous. */
    HEAD_MAJOR
}
