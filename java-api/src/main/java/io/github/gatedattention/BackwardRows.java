package io.github.gatedattention;

import static io.github.gatedattention.BackwardKeyBlock.addWeightedRow;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The first pass of a backward call in plain Java, over blocks of query rows of one head: the forward pass again, which gives Y
 * and the log-sum-exp in double, then the gradients of Y and q.
 *
 * <p>So neither the rounded result nor the rounded log-sum-exp of the forward call is read: the gradients are as exact as their
 * inputs allow, and no activation has to be inverted.
 */
final class BackwardRows {
    /** Query rows per task: they share the conversion of keys and values. */
    static final int BLOCK = 16;

    private final Settings settings;
    private final Operands forward;
    private final @Nullable Tensor dQ;
    private final SequenceTable sequences;
    private final BackwardState state;
    private final BackwardRow end;
    private final BackwardKeyBlock block;

    private final double[][] queries; // [BLOCK, D]
    private final double[][] y; // [BLOCK, Dv]
    private final double[][] gradients; // [BLOCK, D]
    private final double[] maximum = new double[BLOCK];
    private final double[] sum = new double[BLOCK];
    private final float[] row;

    /** Scratch memory for one thread; the operands were checked. */
    BackwardRows(Settings settings, BackwardOperands o, SequenceTable sequences, BackwardState state) {
        this.settings = settings;
        this.forward = o.forward();
        this.dQ = o.dQ();
        this.sequences = sequences;
        this.state = state;
        this.end = new BackwardRow(settings, o);
        this.block = new BackwardKeyBlock(settings, forward, sequences);
        int dim = settings.headDim();
        queries = new double[BLOCK][dim];
        y = new double[BLOCK][settings.valueHeadDim()];
        gradients = new double[BLOCK][dim];
        row = new float[dim];
    }

    /** Rows {@code first} to {@code first + BLOCK - 1}, as far as there are, of sequence b and head h. */
    void run(int b, int h, long first) {
        long seqQ = sequences.queries(b);
        int rows = (int) Math.min(BLOCK, seqQ + sequences.padding(b) - first);
        int attending = Math.clamp(seqQ - first, 0, Math.max(0, rows));
        for (int r = 0; r < rows; r++) {
            Arrays.fill(gradients[r], 0);
        }
        if (attending > 0) {
            attend(b, h, first, attending);
        }
        for (int r = 0; dQ != null && r < rows; r++) {
            for (int d = 0; d < row.length; d++) {
                row[d] = (float) gradients[r][d];
            }
            long at = offset(dQ, b, first + r, h);
            Elements.store(dQ.dataType(), row, 0, dQ.segment(), at, row.length);
        }
    }

    private void attend(int b, int h, long first, int rows) {
        Tensor q = forward.q();
        for (int r = 0; r < rows; r++) {
            Elements.load(q.dataType(), q.segment(), offset(q, b, first + r, h), row, 0, row.length);
            for (int d = 0; d < row.length; d++) {
                queries[r][d] = row[d];
            }
            Arrays.fill(y[r], 0);
            maximum[r] = Double.NEGATIVE_INFINITY;
            sum[r] = 0;
        }
        overKeys(b, h, first, rows, this::absorb);
        double logit = Sink.of(forward.sink(), h);
        for (int r = 0; r < rows; r++) {
            finish(b, h, first + r, r, logit);
        }
        if (dQ != null) {
            overKeys(b, h, first, rows, (r, from, to) -> {
                BackwardState.Row known = state.row(b, h, first + r);
                block.score(queries[r], from, to);
                block.differentiate(known.dY(), known.lse(), known.delta(), from, to);
                for (int j = from; j < to; j++) {
                    addWeightedRow(block.gradients[j], block.keys[j], gradients[r], 0, row.length);
                }
            });
        }
    }

    private boolean sees(int b, long i) {
        long seqQ = sequences.queries(b);
        long length = sequences.keys(b);
        return settings.mask().firstKey(i, seqQ, length) < settings.mask().endKey(i, seqQ, length);
    }

    private interface Step {
        /** Takes keys {@code from} to {@code to - 1} of the block, all seen by row r, into account. */
        void take(int r, int from, int to);
    }

    /** Loads the keys that any of the rows sees, block by block, and shows each row those that it sees. */
    private void overKeys(int b, int h, long first, int rows, Step step) {
        long seqQ = sequences.queries(b);
        long length = sequences.keys(b);
        Mask mask = settings.mask();
        long begin = mask.firstKey(first, seqQ, length);
        long last = mask.endKey(first + rows - 1, seqQ, length);
        for (long key = begin; key < last; key += BackwardKeyBlock.SIZE) {
            int n = (int) Math.min(BackwardKeyBlock.SIZE, last - key);
            block.load(b, h / settings.group(), key, n);
            for (int r = 0; r < rows; r++) {
                int from = Math.clamp(mask.firstKey(first + r, seqQ, length) - key, 0, n);
                int to = Math.clamp(mask.endKey(first + r, seqQ, length) - key, 0, n);
                if (from < to) {
                    step.take(r, from, to);
                }
            }
        }
    }

    /** As in the forward pass: sums of {@code exp(score - maximum)}, and of those times the values. */
    private void absorb(int r, int from, int to) {
        block.score(queries[r], from, to);
        double newMaximum = maximum[r];
        for (int j = from; j < to; j++) {
            newMaximum = Math.max(newMaximum, block.scores[j]);
        }
        if (newMaximum != maximum[r]) {
            double factor = Math.exp(maximum[r] - newMaximum);
            sum[r] *= factor;
            for (int d = 0; d < y[r].length; d++) {
                y[r][d] *= factor;
            }
            maximum[r] = newMaximum;
        }
        for (int j = from; j < to; j++) {
            double weight = Math.exp(block.scores[j] - newMaximum);
            sum[r] += weight;
            addWeightedRow(weight, block.values[j], y[r], 0, y[r].length);
        }
    }

    private void finish(int b, int h, long i, int r, double logit) {
        double factor = sees(b, i) ? Sink.share(logit, sum[r], maximum[r]) / sum[r] : 0;
        double[] attention = y[r].clone();
        for (int d = 0; d < attention.length; d++) {
            attention[d] *= factor;
        }
        end.compute(sequences.queryEntry(b), sequences.queryRow(b, i), h, attention);
        double delta = 0;
        for (int d = 0; d < attention.length; d++) {
            delta += end.dY[d] * attention[d];
        }
        double lse = Sink.logSumExp(logit, sum[r], maximum[r]);
        state.put(b, h, i, new BackwardState.Row(attention, end.dY.clone(), lse, delta));
    }

    private long offset(Tensor tensor, int b, long i, int h) {
        return sequences.queryEntry(b) * tensor.stride(0)
                + sequences.queryRow(b, i) * tensor.stride(1)
                + h * tensor.stride(2);
    }
}
