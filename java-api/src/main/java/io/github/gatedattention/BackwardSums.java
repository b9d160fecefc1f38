package io.github.gatedattention;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The third pass of a backward call in plain Java, over the rows of the gradients of what queries share: the gate's scores, the
 * norm's weight and the sink. Each is summed over the rows that use it, in the order of sequences, queries and heads.
 */
final class BackwardSums {
    private final Settings settings;
    private final BackwardOperands o;
    private final SequenceTable sequences;
    private final BackwardState state;
    private final BackwardRow end;
    private final double[] sum;
    private final float[] row;

    /** Scratch memory for one thread; the operands were checked. */
    BackwardSums(Settings settings, BackwardOperands o, SequenceTable sequences, BackwardState state) {
        this.settings = settings;
        this.o = o;
        this.sequences = sequences;
        this.state = state;
        this.end = new BackwardRow(settings, o);
        this.sum = new double[settings.valueHeadDim()];
        this.row = new float[settings.valueHeadDim()];
    }

    /** Rows of all three gradients together. */
    static long rows(BackwardOperands o) {
        return gateRows(o.dGate()) + weightRows(o.dNormWeight()) + weightRows(o.dSink());
    }

    private static long gateRows(@Nullable Tensor dGate) {
        return dGate == null ? 0 : dGate.dim(0) * dGate.dim(1) * dGate.dim(2);
    }

    private static long weightRows(@Nullable Tensor gradient) {
        return gradient == null ? 0 : gradient.dim(0);
    }

    /** Row n of {@link #rows}. */
    void run(long n) {
        Tensor dGate = o.dGate();
        Tensor dWeight = o.dNormWeight();
        long rest = n - gateRows(dGate);
        if (dGate != null && rest < 0) {
            sumGate(dGate, n / dGate.dim(2) / dGate.dim(1), n / dGate.dim(2) % dGate.dim(1), n % dGate.dim(2));
        } else if (dWeight != null && rest < weightRows(dWeight)) {
            sumWeight(dWeight, rest);
        } else if (o.dSink() != null) {
            sumSink(o.dSink(), rest - weightRows(dWeight));
        }
    }

    private void sumGate(Tensor to, long x, long y, long z) {
        Arrays.fill(sum, 0);
        for (int b = 0; b < sequences.batch(); b++) {
            if (to.dim(0) > 1 && sequences.queryEntry(b) != x) {
                continue;
            }
            long seqQ = sequences.queries(b);
            long own = y - sequences.queryRow(b, 0);
            long first = to.dim(1) > 1 ? Math.clamp(own, 0, seqQ) : 0;
            long last = to.dim(1) > 1 ? Math.clamp(own + 1, 0, seqQ) : seqQ;
            for (long i = first; i < last; i++) {
                add(b, i, firstHead(to, 2, z), endHead(to, 2, z), end.dScores);
            }
        }
        store(to, x * to.stride(0) + y * to.stride(1) + z * to.stride(2), (int) to.dim(3));
    }

    private void sumWeight(Tensor to, long z) {
        Arrays.fill(sum, 0);
        for (int b = 0; b < sequences.batch(); b++) {
            for (long i = 0; i < sequences.queries(b); i++) {
                add(b, i, firstHead(to, 0, z), endHead(to, 0, z), end.dWeight);
            }
        }
        if (to.dim(1) == 1) {
            sum[0] = Arrays.stream(sum).reduce(0, Double::sum);
        }
        store(to, z * to.stride(0), (int) to.dim(1));
    }

    /** A sink takes the share {@code exp(sink - lse)} of a row's probability, and has no value: its dS is {@code -P delta}. */
    private void sumSink(Tensor to, long z) {
        sum[0] = 0;
        for (int b = 0; b < sequences.batch(); b++) {
            for (long i = 0; i < sequences.queries(b); i++) {
                for (int h = firstHead(to, 0, z); h < endHead(to, 0, z); h++) {
                    double logit = Sink.of(o.forward().sink(), h);
                    if (logit != Double.NEGATIVE_INFINITY) { // else a term of 0, also where it stands alone
                        BackwardState.Row known = state.row(b, h, i);
                        sum[0] -= Math.exp(logit - known.lse()) * known.delta();
                    }
                }
            }
        }
        store(to, z * to.stride(0), 1);
    }

    private void add(int b, long i, int firstHead, int endHead, double[] gradients) {
        for (int h = firstHead; h < endHead; h++) {
            end.compute(
                    sequences.queryEntry(b),
                    sequences.queryRow(b, i),
                    h,
                    state.row(b, h, i).y());
            for (int d = 0; d < gradients.length; d++) {
                sum[d] += gradients[d];
            }
        }
    }

    private static int firstHead(Tensor to, int axis, long z) {
        return to.dim(axis) > 1 ? (int) z : 0;
    }

    private int endHead(Tensor to, int axis, long z) {
        return to.dim(axis) > 1 ? (int) z + 1 : settings.queryHeads();
    }

    private void store(Tensor to, long at, int n) {
        for (int d = 0; d < n; d++) {
            row[d] = (float) sum[d];
        }
        Elements.store(to.dataType(), row, 0, to.segment(), at, n);
    }
}
