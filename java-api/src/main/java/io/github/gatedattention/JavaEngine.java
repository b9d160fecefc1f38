package io.github.gatedattention;

import java.util.Locale;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/** The pure Java backend: cuts a call into blocks of query rows and runs {@link AttentionLoops} on each. */
final class JavaEngine implements Engine {
    /** Stands for any helper: a confined arena is closed to it. */
    private static final Thread STRANGER = Thread.ofPlatform().unstarted(() -> {});

    private final Settings settings;
    private final TaskPool pool;
    private volatile boolean closed;

    JavaEngine(Settings settings) {
        this.settings = settings;
        this.pool = new TaskPool(settings.threads());
    }

    /** {@inheritDoc} */
    record Prepared(JavaEngine engine, Operands operands) implements PreparedForward {
        @Override
        public void run() {
            engine.run(operands);
        }
    }

    @Override
    public void forward(
            Tensor q,
            Tensor k,
            Tensor v,
            @Nullable Tensor gate,
            Tensor out,
            @Nullable Tensor normWeight,
            @Nullable Tensor keyLengths,
            @Nullable Tensor lse) {
        prepare(new Operands(q, k, v, gate, out, normWeight, keyLengths, lse)).run();
    }

    @Override
    public PreparedForward prepare(Operands operands) {
        if (closed) {
            throw Engine.closed();
        }
        check(operands);
        return new Prepared(this, operands);
    }

    private void check(Operands o) {
        CallCheck.check(settings, o.q(), o.k(), o.v(), o.gate(), o.out(), o.normWeight(), o.keyLengths(), o.lse());
    }

    private void run(Operands operands) {
        if (closed) {
            throw Engine.closed();
        }
        checkAccess("q", operands.q());
        checkAccess("k", operands.k());
        checkAccess("v", operands.v());
        checkAccess("gate", operands.gate());
        checkAccess("out", operands.out());
        checkAccess("normWeight", operands.normWeight());
        checkAccess("keyLengths", operands.keyLengths());
        checkAccess("lse", operands.lse());
        long batch = operands.q().dim(0);
        long[] lengths =
                KeyLengths.read(operands.keyLengths(), batch, operands.k().dim(1));
        long blocks = queryBlocks(operands.q());
        long heads = settings.queryHeads();
        pool.run(batch * heads * blocks, areShared(operands), () -> {
            AttentionLoops loops = new AttentionLoops(settings, operands, lengths);
            return task -> runTask(loops, task, batch, blocks);
        });
    }

    /** Refuses closed arenas and those of other threads, before anything is written. */
    private static void checkAccess(String name, @Nullable Tensor tensor) {
        if (tensor == null) {
            return;
        }
        if (!tensor.segment().isAccessibleBy(Thread.currentThread())) {
            throw new WrongThreadException(name + " belongs to a confined arena of another thread than "
                    + Thread.currentThread().getName() + "; allocate it from Arena.ofShared()");
        }
        CallCheck.requireOpen(name, tensor);
    }

    /** Whether helpers may touch the tensors; those of a confined arena are for the calling thread alone. */
    private static boolean areShared(Operands o) {
        return Stream.of(o.q(), o.k(), o.v(), o.gate(), o.out(), o.normWeight(), o.keyLengths(), o.lse())
                .allMatch(tensor -> tensor == null || tensor.segment().isAccessibleBy(STRANGER));
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
    public Plan explain(Operands operands) {
        if (closed) {
            throw Engine.closed();
        }
        check(operands);
        Tensor q = operands.q();
        Work work = Work.of(settings, operands);
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
    public InstructionSet instructionSet() {
        return InstructionSet.SCALAR;
    }

    @Override
    public void close() {
        closed = true;
        pool.close();
    }
}
