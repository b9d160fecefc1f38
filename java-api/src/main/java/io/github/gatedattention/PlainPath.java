package io.github.gatedattention;

import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Plain Java: cuts a call into blocks of query rows and runs {@link AttentionLoops} on each. */
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
            @Nullable Tensor keyLengths,
            @Nullable Tensor lse,
            @Nullable Tensor sink,
            boolean help) {
        Operands operands = new Operands(q, k, v, gate, out, normWeight, keyLengths, lse, sink);
        long batch = q.dim(0);
        long[] lengths = KeyLengths.read(keyLengths, batch, k.dim(1));
        long blocks = queryBlocks(q);
        pool.run(batch * settings.queryHeads() * blocks, help, () -> {
            AttentionLoops loops = new AttentionLoops(settings, operands, lengths);
            return task -> runTask(loops, task, batch, blocks);
        });
    }

    /** Tasks begin with the last rows, which under a causal mask see most keys. */
    private void runTask(AttentionLoops loops, long task, long batch, long blocks) {
        long heads = settings.queryHeads();
        long block = blocks - 1 - task / (batch * heads);
        long rest = task % (batch * heads);
        loops.run(rest / heads, (int) (rest % heads), block * AttentionLoops.QUERY_BLOCK);
    }

    private static long queryBlocks(Tensor q) {
        return Math.ceilDiv(q.dim(1), (long) AttentionLoops.QUERY_BLOCK);
    }

    @Override
    public Plan plan(Operands operands, Work work) {
        Tensor q = operands.q();
        return new Plan(
                "java",
                "java_" + settings.dataType().name().toLowerCase(Locale.ROOT),
                InstructionSet.SCALAR,
                settings.threads(),
                AttentionLoops.QUERY_BLOCK,
                AttentionLoops.KEY_BLOCK,
                q.dim(0) * settings.queryHeads() * queryBlocks(q),
                settings.threads() * AttentionLoops.workspaceBytes(settings),
                work.flop(),
                work.bytes());
    }

    @Override
    public void close() {
        pool.close();
    }
}
