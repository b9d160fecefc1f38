package io.github.gatedattention;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Plain Java: cuts a call into blocks of rows and runs {@link AttentionLoops} or {@link MergeLoops} on each. */
final class PlainPath implements JavaPath {
    private final Settings settings;
    private final TaskPool pool;

    PlainPath(Settings settings) {
        this.settings = settings;
        this.pool = new TaskPool(settings.threads());
    }

    @Override
    public void run(
            Tensor q,
            Tensor k,
            Tensor v,
            @Nullable Tensor gate,
            Tensor out,
            @Nullable Tensor normWeight,
            @Nullable Sequences sequences,
            @Nullable Tensor lse,
            @Nullable Tensor sink,
            @Nullable Scales scales,
            boolean help) {
        Operands operands = new Operands(q, k, v, gate, out, normWeight, sequences, lse, sink, scales);
        SequenceTable table = new SequenceTable();
        table.read(q, k, sequences);
        long batch = table.batch();
        long blocks = 0;
        for (int b = 0; b < batch; b++) {
            blocks = Math.max(blocks, queryBlocks(table, b));
        }
        long most = blocks;
        pool.run(batch * settings.queryHeads() * most, help, () -> {
            AttentionLoops loops = new AttentionLoops(settings, operands, table);
            return task -> runTask(loops, task, batch, most);
        });
    }

    /**
     * Tasks begin with the last rows, which under a causal mask see most keys. A sequence with fewer blocks than the longest
     * has nothing to do in some.
     */
    private void runTask(AttentionLoops loops, long task, long batch, long blocks) {
        long heads = settings.queryHeads();
        long block = blocks - 1 - task / (batch * heads);
        long rest = task % (batch * heads);
        loops.run((int) (rest / heads), (int) (rest % heads), block * AttentionLoops.QUERY_BLOCK);
    }

    @Override
    public void merge(MergeOperands operands, boolean help) {
        Tensor out = operands.out();
        long rows = out.dim(0) * out.dim(1) * out.dim(2);
        long tasks = Math.ceilDiv(rows, (long) MergeLoops.ROWS);
        pool.run(tasks, help, () -> {
            MergeLoops loops = new MergeLoops(settings, operands);
            return task -> loops.run(task * MergeLoops.ROWS, Math.min(rows, (task + 1) * MergeLoops.ROWS));
        });
    }

    @Override
    public void backward(BackwardOperands operands, boolean help) {
        PlainBackward.run(settings, pool, operands, help);
    }

    @Override
    public AttentionStatistics measure(Operands operands, Tensor lse, AttentionProbe probe, boolean help) {
        SequenceTable table = new SequenceTable();
        table.read(operands.q(), operands.k(), operands.sequences());
        int heads = settings.queryHeads();
        AttentionStatistics.OfHead[] results = new AttentionStatistics.OfHead[table.batch() * heads];
        pool.run(results.length, help, () -> {
            MeasureLoops loops = new MeasureLoops(settings, operands, lse, probe, table);
            return task -> results[(int) task] = loops.run((int) (task / heads), (int) (task % heads));
        });
        List<AttentionStatistics.OfSequence> sequences = new ArrayList<>();
        for (int b = 0; b < table.batch(); b++) {
            sequences.add(new AttentionStatistics.OfSequence(
                    MeasureLoops.countedQueries(settings, table, b),
                    Arrays.asList(results).subList(b * heads, (b + 1) * heads)));
        }
        return new AttentionStatistics(sequences);
    }

    @Override
    public ValueStatistics measure(Tensor values, ValueProbe probe, boolean help) {
        ValueTally[] results = new ValueTally[(int) MeasureCheck.extent(values, 2)];
        pool.run(results.length, help, () -> {
            ValueLoops loops = new ValueLoops(values, probe);
            return task -> results[(int) task] = loops.run(task);
        });
        return ValueStatistics.of(Arrays.asList(results));
    }

    private static long queryBlocks(SequenceTable sequences, int b) {
        return Math.ceilDiv(sequences.queries(b) + sequences.padding(b), (long) AttentionLoops.QUERY_BLOCK);
    }

    @Override
    public Plan plan(Operands operands, Work work) {
        SequenceTable table = new SequenceTable();
        table.read(operands.q(), operands.k(), operands.sequences());
        long tasks = 0;
        for (int b = 0; b < table.batch(); b++) {
            tasks += queryBlocks(table, b) * settings.queryHeads();
        }
        return new Plan(
                "java",
                "java_" + settings.dataType().name().toLowerCase(Locale.ROOT),
                InstructionSet.SCALAR,
                settings.threads(),
                AttentionLoops.QUERY_BLOCK,
                AttentionLoops.KEY_BLOCK,
                tasks,
                settings.threads() * AttentionLoops.workspaceBytes(settings),
                work.flop(),
                work.bytes());
    }

    @Override
    public Plan plan(BackwardOperands operands, Work work) {
        return PlainBackward.plan(settings, operands, work);
    }

    @Override
    public void close() {
        pool.close();
    }
}
