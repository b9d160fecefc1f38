package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** Plain Java: cuts a prologue into tokens and runs {@link PrologueLoops} on them. */
final class JavaPrologue implements PrologueEngine {
    /** Tokens per task. */
    private static final long TOKENS = 8;

    private final PrologueSettings settings;
    private final TaskPool pool;
    private volatile boolean closed;

    JavaPrologue(PrologueSettings settings) {
        this.settings = settings;
        this.pool = new TaskPool(settings.threads());
    }

    @Override
    public void run(PrologueOperands o, @Nullable CacheSlots cache) {
        checkOpen();
        boolean shared = access(o, cache != null);
        long tokens = o.any().dim(0) * o.any().dim(1);
        pool.run(Math.ceilDiv(tokens, TOKENS), shared, () -> {
            PrologueLoops loops = new PrologueLoops(settings, o, cache);
            return task -> {
                for (long token = task * TOKENS; token < Math.min(tokens, (task + 1) * TOKENS); token++) {
                    loops.run(token);
                }
            };
        });
    }

    /** One task per projection: the sums of each are taken in the order of the tokens. */
    @Override
    public void backward(PrologueOperands o, PrologueGradients gradients) {
        checkOpen();
        boolean shared = access(o, true) && access(gradients.q()) && access(gradients.k()) && access(gradients.v());
        pool.run(PrologueCheck.PARTS, shared, () -> task -> {
            ProjectedHeads part = o.part((int) task);
            HeadGradients g = gradients.part((int) task);
            if (part != null && g != null) {
                new PrologueBackwardLoops(settings, o, (int) task, part, g).run();
            }
        });
    }

    private static boolean access(PrologueOperands o, boolean cached) {
        boolean shared = access("positions", o.positions());
        for (int n = 0; n < PrologueCheck.PARTS; n++) {
            ProjectedHeads part = o.part(n);
            if (part != null) {
                shared &= access("in", part.in());
                shared &= access("gate", part.gate());
                shared &= access("normWeight", part.normWeight());
                shared &= cached && n > 0 || access("out", part.out());
            }
        }
        return shared;
    }

    private static boolean access(@Nullable HeadGradients g) {
        if (g == null) {
            return true;
        }
        boolean shared = access("dOut", g.dOut());
        shared &= access("dIn", g.dIn());
        shared &= access("dGate", g.dGate());
        shared &= access("dNormWeight", g.dNormWeight());
        return shared;
    }

    private static boolean access(String name, @Nullable Tensor tensor) {
        return JavaEngine.checkAccess(name, tensor);
    }

    private void checkOpen() {
        if (closed) {
            throw PrologueEngine.closed();
        }
    }

    @Override
    public void close() {
        closed = true;
        pool.close();
    }
}
