package io.github.gatedattention;

import static io.github.gatedattention.BackwardKeyBlock.addWeightedRow;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The second pass of a backward call in plain Java, over blocks of keys of one head: {@code dV = P^T dY} and {@code dK = dS^T Q},
 * summed over the query heads of the group and their rows, in this order.
 */
final class BackwardKeys {
    private final Settings settings;
    private final Tensor q;
    private final @Nullable Tensor dK;
    private final @Nullable Tensor dV;
    private final SequenceTable sequences;
    private final BackwardState state;
    private final BackwardKeyBlock block;

    private final double[] query;
    private final double[][] keyGradients; // [SIZE, D]
    private final double[][] valueGradients; // [SIZE, Dv]
    private final float[] row;

    /** Scratch memory for one thread; the operands were checked. */
    BackwardKeys(Settings settings, BackwardOperands o, SequenceTable sequences, BackwardState state) {
        this.settings = settings;
        this.q = o.forward().q();
        this.dK = o.dK();
        this.dV = o.dV();
        this.sequences = sequences;
        this.state = state;
        this.block = new BackwardKeyBlock(settings, o.forward(), sequences);
        int dim = settings.headDim();
        int valueDim = settings.valueHeadDim();
        query = new double[dim];
        keyGradients = new double[BackwardKeyBlock.SIZE][dim];
        valueGradients = new double[BackwardKeyBlock.SIZE][valueDim];
        row = new float[Math.max(dim, valueDim)];
    }

    /** Keys {@code first} to {@code first + SIZE - 1}, as far as there are, of sequence b; the first block clears the padding. */
    void run(int b, int keyHead, long first) {
        long length = sequences.keys(b);
        int n = (int) Math.min(BackwardKeyBlock.SIZE, length - first);
        if (n > 0) {
            sum(b, keyHead, first, n);
            store(dK, b, keyHead, first, n, keyGradients);
            store(dV, b, keyHead, first, n, valueGradients);
        }
        if (first == 0 && !sequences.hasPackedKeys()) {
            clearPadding(dK, b, keyHead);
            clearPadding(dV, b, keyHead);
        }
    }

    private void sum(int b, int keyHead, long first, int n) {
        for (int j = 0; j < n; j++) {
            Arrays.fill(keyGradients[j], 0);
            Arrays.fill(valueGradients[j], 0);
        }
        block.load(b, keyHead, first, n);
        long seqQ = sequences.queries(b);
        long length = sequences.keys(b);
        Mask mask = settings.mask();
        for (int h = keyHead * settings.group(); h < (keyHead + 1) * settings.group(); h++) {
            for (long i = 0; i < seqQ; i++) {
                int from = Math.clamp(mask.firstKey(i, seqQ, length) - first, 0, n);
                int to = Math.clamp(mask.endKey(i, seqQ, length) - first, 0, n);
                if (from < to) {
                    add(state.row(b, h, i), b, h, i, from, to);
                }
            }
        }
    }

    private void add(BackwardState.Row known, int b, int h, long i, int from, int to) {
        long at = sequences.queryEntry(b) * q.stride(0) + sequences.queryRow(b, i) * q.stride(1) + h * q.stride(2);
        Elements.load(q.dataType(), q.segment(), at, row, 0, query.length);
        for (int d = 0; d < query.length; d++) {
            query[d] = row[d];
        }
        block.score(query, from, to);
        block.differentiate(known.dY(), known.lse(), known.delta(), from, to);
        for (int j = from; j < to; j++) {
            addWeightedRow(block.scores[j], known.dY(), valueGradients[j], 0, valueGradients[j].length);
            addWeightedRow(block.gradients[j], query, keyGradients[j], 0, query.length);
        }
    }

    private void store(@Nullable Tensor to, int b, int keyHead, long first, int n, double[][] gradients) {
        for (int j = 0; to != null && j < n; j++) {
            int size = gradients[j].length;
            for (int d = 0; d < size; d++) {
                row[d] = (float) gradients[j][d];
            }
            Elements.store(to.dataType(), row, 0, to.segment(), sequences.keyOffset(to, b, first + j, keyHead), size);
        }
    }

    /** Keys that belong to no sequence, before and after those of this one, are seen by no query. */
    private void clearPadding(@Nullable Tensor to, int b, int keyHead) {
        if (to == null) {
            return;
        }
        Arrays.fill(row, 0);
        long begin = sequences.keyRow(b);
        long end = begin + sequences.keys(b);
        for (long j = 0; j < to.dim(1); j++) {
            if (j < begin || j >= end) {
                long at = sequences.keyOffset(to, b, j - begin, keyHead);
                Elements.store(to.dataType(), row, 0, to.segment(), at, (int) to.dim(3));
            }
        }
    }
}
