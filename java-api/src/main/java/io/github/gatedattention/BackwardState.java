package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** What the first pass of a backward call in plain Java leaves to the others: something of each row that sees a key. */
final class BackwardState {
    /**
     * A row of queries of one head.
     *
     * @param y the attention output, before the step on it
     * @param dY its gradient
     * @param lse the log-sum-exp, of the sink too
     * @param delta {@code dY . y}
     */
    record Row(double[] y, double[] dY, double lse, double delta) {}

    private final int heads;
    private final @Nullable Row[][] rows; // [B Hq][Sq]

    BackwardState(Settings settings, SequenceTable sequences) {
        heads = settings.queryHeads();
        if (sequences.batch() > Integer.MAX_VALUE / heads) {
            throw new UnsupportedOperationException(sequences.batch() + " sequences of " + heads
                    + " heads are more than the java backend takes in a backward call, which is " + Integer.MAX_VALUE
                    + " in all");
        }
        rows = new @Nullable Row[sequences.batch() * heads][];
        for (int n = 0; n < rows.length; n++) {
            rows[n] = new @Nullable Row[Math.toIntExact(sequences.queries(n / heads))];
        }
    }

    /** The row of query i; null when it sees no key. */
    @Nullable
    Row row(int b, int h, long i) {
        return rows[b * heads + h][(int) i];
    }

    void put(int b, int h, long i, Row row) {
        rows[b * heads + h][(int) i] = row;
    }
}
