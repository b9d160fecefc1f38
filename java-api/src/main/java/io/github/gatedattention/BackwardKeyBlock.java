package io.github.gatedattention;

import java.util.Arrays;

/**
 * A block of keys and values of one sequence and head, in double, both ways around: all products of the backward pass are then
 * sums of weighted rows, which the JIT compiler turns into vector code. For one thread.
 */
final class BackwardKeyBlock {
    /** Keys per block. */
    static final int SIZE = 64;

    final double[][] keys; // [SIZE, D]
    final double[][] values; // [SIZE, Dv]
    private final double[][] keyColumns; // [D, SIZE]
    private final double[][] valueColumns; // [Dv, SIZE]

    /** {@code scale * q . k_j}, softcapped, for the keys of the block. */
    final double[] scores = new double[SIZE];
    /** The gradients of the probabilities, {@code dY . v_j}. */
    final double[] gradients = new double[SIZE];

    private final Settings settings;
    private final Tensor k;
    private final Tensor v;
    private final SequenceTable sequences;
    private final float[] row;

    BackwardKeyBlock(Settings settings, Operands o, SequenceTable sequences) {
        this.settings = settings;
        this.k = o.k();
        this.v = o.v();
        this.sequences = sequences;
        int dim = settings.headDim();
        int valueDim = settings.valueHeadDim();
        keys = new double[SIZE][dim];
        values = new double[SIZE][valueDim];
        keyColumns = new double[dim][SIZE];
        valueColumns = new double[valueDim][SIZE];
        row = new float[Math.max(dim, valueDim)];
    }

    /** Bytes of scratch memory per thread, that of the gradients of a block included. */
    static long bytes(Settings settings) {
        long dims = (long) settings.headDim() + settings.valueHeadDim();
        return Double.BYTES * SIZE * (3 * dims + 2) + Float.BYTES * dims;
    }

    /** Reads keys {@code first} to {@code first + n - 1} of sequence b. */
    void load(int b, int keyHead, long first, int n) {
        for (int j = 0; j < n; j++) {
            load(k, sequences.keyOffset(k, b, first + j, keyHead), keys[j], keyColumns, j);
            load(v, sequences.keyOffset(v, b, first + j, keyHead), values[j], valueColumns, j);
        }
    }

    private void load(Tensor tensor, long at, double[] to, double[][] columns, int j) {
        Elements.load(tensor.dataType(), tensor.segment(), at, row, 0, to.length);
        for (int d = 0; d < to.length; d++) {
            to[d] = row[d];
            columns[d][j] = row[d];
        }
    }

    /** Fills {@link #scores} for the keys from {@code from} to {@code to - 1}. */
    void score(double[] query, int from, int to) {
        product(query, keyColumns, scores, from, to);
        double scale = settings.scale();
        double cap = settings.softcap();
        for (int j = from; j < to; j++) {
            double score = scores[j] * scale;
            scores[j] = settings.isSoftcapped() ? cap * Math.tanh(score / cap) : score;
        }
    }

    /**
     * Turns {@link #scores} into probabilities and {@link #gradients} into the gradients of {@code q . k_j}, both for the keys
     * from {@code from} to {@code to - 1}: {@code dS = P (dP - delta)}, through the softcap and the scale.
     */
    void differentiate(double[] dY, double lse, double delta, int from, int to) {
        product(dY, valueColumns, gradients, from, to);
        double scale = settings.scale();
        double cap = settings.softcap();
        for (int j = from; j < to; j++) {
            double score = scores[j];
            scores[j] = Math.exp(score - lse);
            gradients[j] = scale * scores[j] * (gradients[j] - delta);
            if (settings.isSoftcapped()) {
                gradients[j] *= 1 - score / cap * (score / cap);
            }
        }
    }

    private static void product(double[] weights, double[][] columns, double[] total, int from, int to) {
        Arrays.fill(total, from, to, 0);
        for (int d = 0; d < weights.length; d++) {
            addWeightedRow(weights[d], columns[d], total, from, to);
        }
    }

    /** {@code total[x] += weight * row[x]} for x in [first, end). */
    static void addWeightedRow(double weight, double[] row, double[] total, int first, int end) {
        for (int x = first; x < end; x++) {
            total[x] += weight * row[x];
        }
    }
}
