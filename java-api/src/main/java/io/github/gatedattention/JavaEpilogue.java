package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** An epilogue in plain Java, in double with one rounding at the end. */
final class JavaEpilogue implements EpilogueEngine {
    /** Tokens per task. */
    private static final long TOKENS = 8;

    private final EpilogueSettings settings;
    private final TaskPool pool;
    private volatile boolean closed;

    JavaEpilogue(EpilogueSettings settings) {
        this.settings = settings;
        this.pool = new TaskPool(settings.threads());
    }

    @Override
    public void run(Tensor in, @Nullable Tensor gate, @Nullable Tensor residual, Tensor out) {
        checkOpen();
        boolean shared = JavaEngine.checkAccess("in", in);
        shared &= JavaEngine.checkAccess("gate", gate);
        shared &= JavaEngine.checkAccess("residual", residual);
        shared &= JavaEngine.checkAccess("out", out);
        long tokens = in.dim(0) * in.dim(1);
        pool.run(Math.ceilDiv(tokens, TOKENS), shared, () -> task -> {
            for (long token = task * TOKENS; token < Math.min(tokens, (task + 1) * TOKENS); token++) {
                row(in, gate, residual, out, token / in.dim(1), token % in.dim(1));
            }
        });
    }

    private void row(Tensor in, @Nullable Tensor gate, @Nullable Tensor residual, Tensor out, long b, long s) {
        Activation activation = settings.gate();
        for (int d = 0; d < settings.width(); d++) {
            double y = get(in, b, s, d);
            if (gate != null && activation != null) {
                y *= activation.apply(get(gate, b, s, d));
            }
            if (residual != null) {
                y += get(residual, b, s, d);
            }
            Elements.set(out.dataType(), out.segment(), offset(out, b, s, d), (float) y);
        }
    }

    /** In the calling thread: sums are taken in the order of the tokens. */
    @Override
    public void backward(Tensor in, @Nullable Tensor gate, Tensor dOut, @Nullable Tensor dIn, @Nullable Tensor dGate) {
        checkOpen();
        JavaEngine.checkAccess("in", in);
        JavaEngine.checkAccess("gate", gate);
        JavaEngine.checkAccess("dOut", dOut);
        JavaEngine.checkAccess("dIn", dIn);
        JavaEngine.checkAccess("dGate", dGate);
        Activation activation = settings.gate();
        double[] sums = dGate == null ? null : new double[Math.toIntExact(TensorLayout.elements(dGate.shape()))];
        for (long b = 0; b < in.dim(0); b++) {
            for (long s = 0; s < in.dim(1); s++) {
                for (int d = 0; d < settings.width(); d++) {
                    double dy = get(dOut, b, s, d);
                    if (gate != null && activation != null) {
                        float score = get(gate, b, s, d);
                        if (sums != null) {
                            sums[index(gate, b, s, d)] += dy * get(in, b, s, d) * activation.slope(score);
                        }
                        dy *= activation.apply(score);
                    }
                    if (dIn != null) {
                        Elements.set(dIn.dataType(), dIn.segment(), offset(dIn, b, s, d), (float) dy);
                    }
                }
            }
        }
        if (dGate != null && sums != null) {
            for (int n = 0; n < sums.length; n++) {
                long d = n % dGate.dim(2);
                long row = n / dGate.dim(2);
                dGate.setFloat((float) sums[n], row / dGate.dim(1), row % dGate.dim(1), d);
            }
        }
    }

    private static float get(Tensor rows, long b, long s, long d) {
        return Elements.get(rows.dataType(), rows.segment(), offset(rows, b, s, d));
    }

    private static long offset(Tensor rows, long b, long s, long d) {
        return PrologueLoops.shared(rows, 0, b) + PrologueLoops.shared(rows, 1, s) + PrologueLoops.shared(rows, 2, d);
    }

    /** In the gate's own order; an axis of one element is shared along. */
    private static int index(Tensor gate, long b, long s, long d) {
        long row = (gate.dim(0) == 1 ? 0 : b) * gate.dim(1) + (gate.dim(1) == 1 ? 0 : s);
        return (int) (row * gate.dim(2) + (gate.dim(2) == 1 ? 0 : d));
    }

    private void checkOpen() {
        if (closed) {
            throw EpilogueEngine.closed();
        }
    }

    @Override
    public void close() {
        closed = true;
        pool.close();
    }
}
