package io.github.gatedattention;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Gated attention of a block of query rows of one head, in plain Java: what the library computes, in the order it is
 * computed. The native kernels do the same with vectors.
 *
 * <p>Keys come in blocks. Per block and row: scores {@code s_j = scale * q . k_j}, softcapped where asked for, of the keys that the row sees, their
 * maximum so far {@code m}, then {@code sum += exp(s_j - m)} and {@code y += exp(s_j - m) v_j}. When {@code m} grows,
 * the earlier sum and y are scaled down to it. {@link PlainEpilogue} does the rest.
 *
 * <p>Both products are sums of weighted rows, {@code scores += q_d * (column d of K)} and {@code y += p_j * (row j of
 * V)}, which the JIT compiler turns into vector code. They are summed in double: in float, the rounding errors of a long
 * sum of values with one sign would be the largest errors of all. Which rows and keys go together depends on the shape
 * of one sequence alone, so the results depend neither on threads nor on the rest of the batch.
 */
final class AttentionLoops {
    /** Query rows per task: they share the conversion of keys and values to float. */
    static final int QUERY_BLOCK = 16;
    /** Keys per step. */
    static final int KEY_BLOCK = 128;

    private final Settings settings;
    private final Tensor q;
    private final Tensor k;
    private final Tensor v;
    private final @Nullable Scales scales;
    private final PlainEpilogue epilogue;
    private final SequenceTable sequences;

    private final double[][] queries; // [QUERY_BLOCK, D]
    private final double[][] keyColumns; // [D, KEY_BLOCK]: the block of K, transposed
    private final double[][] values; // [KEY_BLOCK, Dv]
    private final double[][] y; // [QUERY_BLOCK, Dv]
    private final double[] maximum = new double[QUERY_BLOCK];
    private final double[] sum = new double[QUERY_BLOCK];
    private final double[] scores = new double[KEY_BLOCK];
    private final float[] row;

    /** Scratch memory for one thread; the operands were checked. */
    AttentionLoops(Settings settings, Operands operands, SequenceTable sequences) {
        this.settings = settings;
        this.q = operands.q();
        this.k = operands.k();
        this.v = operands.v();
        this.scales = operands.scales();
        this.epilogue = new PlainEpilogue(
                settings, operands.gate(), operands.out(), operands.normWeight(), operands.lse(), operands.sink());
        this.sequences = sequences;
        int dim = settings.headDim();
        int valueDim = settings.valueHeadDim();
        queries = new double[QUERY_BLOCK][dim];
        keyColumns = new double[dim][KEY_BLOCK];
        values = new double[KEY_BLOCK][valueDim];
        y = new double[QUERY_BLOCK][valueDim];
        row = new float[Math.max(dim, valueDim)];
    }

    /** Bytes of scratch memory per thread. */
    static long workspaceBytes(Settings settings) {
        int dim = settings.headDim();
        int valueDim = settings.valueHeadDim();
        long doubles = (QUERY_BLOCK + KEY_BLOCK) * (dim + valueDim + 1L) + QUERY_BLOCK;
        return Double.BYTES * doubles + (long) Float.BYTES * (Math.max(dim, valueDim) + 2L * valueDim);
    }

    /**
     * Rows {@code first} to {@code first + QUERY_BLOCK - 1}, as far as there are, of sequence {@code b} and head h. Rows of
     * padding come out as rows that see no key.
     */
    void run(int b, int h, long first) {
        long seqQ = sequences.queries(b);
        int rows = (int) Math.min(QUERY_BLOCK, seqQ + sequences.padding(b) - first);
        int attending = Math.clamp(seqQ - first, 0, Math.max(0, rows));
        for (int r = 0; r < rows; r++) {
            Arrays.fill(y[r], 0);
            maximum[r] = Double.NEGATIVE_INFINITY;
            sum[r] = 0;
        }
        if (attending > 0) {
            attend(b, h, first, attending);
        }
        for (int r = 0; r < rows; r++) {
            epilogue.finish(sequences.queryEntry(b), sequences.queryRow(b, first + r), h, y[r], sum[r], maximum[r]);
        }
    }

    private void attend(int b, int h, long first, int rows) {
        long seqQ = sequences.queries(b);
        long length = sequences.keys(b);
        int keyHead = h / settings.group();
        int entry = sequences.queryEntry(b);
        for (int r = 0; r < rows; r++) {
            loadWide(q, offset(q, entry, sequences.queryRow(b, first + r), h), queries[r]);
        }
        // Both ends of what a row sees rise with the row, so the first and the last row bound the block's keys.
        Mask mask = settings.mask();
        long begin = mask.firstKey(first, seqQ, length);
        long end = mask.endKey(first + rows - 1, seqQ, length);
        for (long key = begin; key < end; key += KEY_BLOCK) {
            int n = (int) Math.min(KEY_BLOCK, end - key);
            loadKeysAndValues(b, keyHead, key, n);
            for (int r = 0; r < rows; r++) {
                int from = Math.clamp(mask.firstKey(first + r, seqQ, length) - key, 0, n);
                int to = Math.clamp(mask.endKey(first + r, seqQ, length) - key, 0, n);
                if (from < to) {
                    absorb(r, from, to);
                }
            }
        }
    }

    private void loadKeysAndValues(int b, int keyHead, long key, int n) {
        int dim = settings.headDim();
        for (int j = 0; j < n; j++) {
            load(k, sequences.keyOffset(k, b, key + j, keyHead), row, dim);
            double scale = scales == null ? 1 : scale(scales.keys(), b, key + j, keyHead);
            for (int d = 0; d < dim; d++) {
                keyColumns[d][j] = scale * row[d];
            }
            loadWide(v, sequences.keyOffset(v, b, key + j, keyHead), values[j]);
            if (scales != null) {
                multiply(values[j], scale(scales.values(), b, key + j, keyHead));
            }
        }
    }

    private double scale(Tensor of, int b, long key, int keyHead) {
        return Elements.scale(of, sequences.keyOffset(of, b, key, keyHead));
    }

    private static void multiply(double[] values, double factor) {
        for (int d = 0; d < values.length; d++) {
            values[d] *= factor;
        }
    }

    /** Adds keys {@code from} to {@code to - 1} of the block to row r. A NaN among their scores makes the row NaN. */
    private void absorb(int r, int from, int to) {
        Arrays.fill(scores, from, to, 0);
        addWeightedRows(queries[r], 0, settings.headDim(), keyColumns, scores, from, to);
        double newMaximum = maximum[r];
        for (int j = from; j < to; j++) {
            scores[j] = score(scores[j]);
            newMaximum = Math.max(newMaximum, scores[j]);
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
            scores[j] = Math.exp(scores[j] - newMaximum);
            sum[r] += scores[j];
        }
        addWeightedRows(scores, from, to, values, y[r], 0, y[r].length);
    }

    private double score(double product) {
        double score = product * settings.scale();
        double cap = settings.softcap();
        return settings.isSoftcapped() ? cap * Math.tanh(score / cap) : score;
    }

    /** {@code total[x] += sum over i in [from, to) of weights[i] * rows[i][x]}, for x in [first, end). */
    private static void addWeightedRows(
            double[] weights, int from, int to, double[][] rows, double[] total, int first, int end) {
        for (int i = from; i < to; i++) {
            addWeightedRow(weights[i], rows[i], total, first, end);
        }
    }

    private static void addWeightedRow(double weight, double[] row, double[] total, int first, int end) {
        for (int x = first; x < end; x++) {
            total[x] += weight * row[x];
        }
    }

    private void loadWide(Tensor tensor, long offset, double[] to) {
        load(tensor, offset, row, to.length);
        for (int d = 0; d < to.length; d++) {
            to[d] = row[d];
        }
    }

    private static void load(Tensor tensor, long offset, float[] to, int n) {
        Elements.load(tensor.dataType(), tensor.segment(), offset, to, 0, n);
    }

    /** Where the last axis begins, in elements. */
    private static long offset(Tensor tensor, long x, long y, long z) {
        return x * tensor.stride(0) + y * tensor.stride(1) + z * tensor.stride(2);
    }
}
