package io.github.gatedattention;

/** What the first pass of a backward call in plain Java leaves to the others: something of each row that attends. */
final class BackwardState {
    /**
     * A row of queries of one head. One that sees no key has a Y of 0.
     *
     * @param y the attention output, before the step on it
     * @param dY its gradient
     * @param lse the log-sum-exp, of the sink too
     * @param delta {@code dY . y}
     */
    record Row(double[] y, double[] dY, double lse, double delta) {}

    private final int heads;
    private final Row[][] rows; // [B Hq][Sq]

    BackwardState(Settings settings, SequenceTable sequences) {
        heads = settings.queryHeads();
        if (sequences.batch() > Integer.MAX_VALUE / heads) {
            throw new UnsupportedOperationException(sequences.batch() + " sequences of " + heads
                    + " heads are more than the java backend takes in a backward call, which is " + Integer.MAX_VALUE
                    + " in all");
        }
        rows = new Row[sequences.batch() * heads][];
        for (int n = 0; n < rows.length; n++) {
            rows[n] = new Row[Math.toIntExact(sequences.queries(n / heads))];
        }
    }

    /** Bytes of the heap that the elements of all rows take. */
    static long bytes(Settings settings, SequenceTable sequences) {
        long rows = 0;
        for (int b = 0; b < sequences.batch(); b++) {
            rows += sequences.queries(b) * settings.queryHeads();
        }
        return rows * Double.BYTES * (2L * settings.valueHeadDim() + 2);
    }

    /** The row of query i. */
    Row row(int b, int h, long i) {
        return rows[b * heads + h][(int) i];
    }

    void put(int b, int h, long i, Row row) {
        rows[b * heads + h][(int) i] = row;
    }
}
