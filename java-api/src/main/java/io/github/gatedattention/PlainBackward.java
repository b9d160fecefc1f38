package io.github.gatedattention;

import java.util.Locale;

/**
 * Backward in plain Java: {@link BackwardRows}, {@link BackwardKeys} and {@link BackwardSums}, one after the other, each cut
 * into tasks by the shape alone. Every element of a gradient is summed by one task, in one order, so the number of threads does
 * not matter.
 */
final class PlainBackward {
    private PlainBackward() {}

    /**
     * How the work is cut.
     *
     * @param rowTasks of the first pass
     * @param rowBlocks of the sequence with most rows
     * @param keyTasks of the second pass
     * @param sumTasks of the third
     */
    private record Cut(long rowTasks, long rowBlocks, long keyTasks, long sumTasks) {
        static Cut of(Settings settings, BackwardOperands o, SequenceTable table) {
            long rowBlocks = 0;
            long keyBlocks = 1; // of a sequence without keys the padding is cleared
            for (int b = 0; b < table.batch(); b++) {
                long rows = table.queries(b) + table.padding(b);
                rowBlocks = Math.max(rowBlocks, Math.ceilDiv(rows, (long) BackwardRows.BLOCK));
                keyBlocks = Math.max(keyBlocks, Math.ceilDiv(table.keys(b), (long) BackwardKeyBlock.SIZE));
            }
            boolean ofKeys = o.dK() != null || o.dV() != null;
            long batch = table.batch();
            return new Cut(
                    batch * settings.queryHeads() * rowBlocks,
                    rowBlocks,
                    ofKeys ? batch * settings.keyValueHeads() * keyBlocks : 0,
                    BackwardSums.rows(o));
        }
    }

    /**
     * Computes.
     *
     * @param help whether other threads may touch the tensors
     */
    static void run(Settings settings, TaskPool pool, BackwardOperands o, boolean help) {
        SequenceTable table = read(o);
        Cut cut = Cut.of(settings, o, table);
        BackwardState state = new BackwardState(settings, table);
        long heads = settings.queryHeads();
        long perRowBlock = table.batch() * heads;
        pool.run(cut.rowTasks, help, () -> {
            BackwardRows rows = new BackwardRows(settings, o, table, state);
            // The last rows, which under a causal mask see most keys, come first.
            return task -> rows.run(
                    (int) (task % perRowBlock / heads),
                    (int) (task % heads),
                    (cut.rowBlocks - 1 - task / perRowBlock) * BackwardRows.BLOCK);
        });
        long keyHeads = settings.keyValueHeads();
        long perKeyBlock = table.batch() * keyHeads;
        pool.run(cut.keyTasks, help, () -> {
            BackwardKeys keys = new BackwardKeys(settings, o, table, state);
            return task -> keys.run(
                    (int) (task % perKeyBlock / keyHeads),
                    (int) (task % keyHeads),
                    task / perKeyBlock * BackwardKeyBlock.SIZE);
        });
        pool.run(cut.sumTasks, help, () -> {
            BackwardSums sums = new BackwardSums(settings, o, table, state);
            return sums::run;
        });
    }

    static Plan plan(Settings settings, BackwardOperands o, Work work) {
        SequenceTable table = read(o);
        Cut cut = Cut.of(settings, o, table);
        return new Plan(
                "java",
                "java_backward_" + settings.dataType().name().toLowerCase(Locale.ROOT),
                InstructionSet.SCALAR,
                settings.threads(),
                BackwardRows.BLOCK,
                BackwardKeyBlock.SIZE,
                cut.rowTasks + cut.keyTasks + cut.sumTasks,
                BackwardState.bytes(settings, table) + settings.threads() * BackwardKeyBlock.bytes(settings),
                work.flop(),
                work.bytes());
    }

    private static SequenceTable read(BackwardOperands o) {
        SequenceTable table = new SequenceTable();
        table.read(o.forward().q(), o.forward().k(), o.forward().sequences());
        return table;
    }
}
