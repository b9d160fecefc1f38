package io.github.gatedattention;

/**
 * Backward in plain Java: {@link BackwardRows}, {@link BackwardKeys} and {@link BackwardSums}, one after the other, each cut
 * into tasks by the shape alone. Every element of a gradient is summed by one task, in one order, so the number of threads does
 * not matter.
 */
final class PlainBackward {
    private PlainBackward() {}

    /**
     * Computes.
     *
     * @param help whether other threads may touch the tensors
     */
    static void run(Settings settings, TaskPool pool, BackwardOperands o, boolean help) {
        Operands forward = o.forward();
        SequenceTable table = new SequenceTable();
        table.read(forward.q(), forward.k(), forward.sequences());
        BackwardState state = new BackwardState(settings, table);
        long batch = table.batch();
        long rowBlocks = 0;
        long keyBlocks = 1; // of a sequence without keys the padding is cleared
        for (int b = 0; b < batch; b++) {
            rowBlocks =
                    Math.max(rowBlocks, Math.ceilDiv(table.queries(b) + table.padding(b), (long) BackwardRows.BLOCK));
            keyBlocks = Math.max(keyBlocks, Math.ceilDiv(table.keys(b), (long) BackwardKeyBlock.SIZE));
        }
        long mostRows = rowBlocks;
        long queryHeads = settings.queryHeads();
        pool.run(batch * queryHeads * mostRows, help, () -> {
            BackwardRows rows = new BackwardRows(settings, o, table, state);
            // The last rows, which under a causal mask see most keys, come first.
            return task -> rows.run(
                    (int) (task % (batch * queryHeads) / queryHeads),
                    (int) (task % queryHeads),
                    (mostRows - 1 - task / (batch * queryHeads)) * BackwardRows.BLOCK);
        });
        if (o.dK() != null || o.dV() != null) {
            long keyHeads = settings.keyValueHeads();
            pool.run(batch * keyHeads * keyBlocks, help, () -> {
                BackwardKeys keys = new BackwardKeys(settings, o, table, state);
                return task -> keys.run(
                        (int) (task % (batch * keyHeads) / keyHeads),
                        (int) (task % keyHeads),
                        task / (batch * keyHeads) * BackwardKeyBlock.SIZE);
            });
        }
        pool.run(BackwardSums.rows(o), help, () -> {
            BackwardSums sums = new BackwardSums(settings, o, table, state);
            return sums::run;
        });
    }
}
