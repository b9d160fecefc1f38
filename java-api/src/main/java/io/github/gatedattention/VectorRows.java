package io.github.gatedattention;

import static io.github.gatedattention.VectorMath.LANES;

import java.util.Arrays;

/**
 * What one thread works in: up to 64 query rows of one key/value head against 64 keys at a time, flash style.
 *
 * <p>The rows of a head are packed: row r is query r / group of head r % group, so that neighbors see nearly the same
 * keys. Scores are powers of two: products of queries and keys times {@code scale * log2(e)}; or times {@code scale / c} with a
 * softcap c, and then {@code c * log2(e) * tanh} of that. Operands that were scaled before would be rounded once per element, and
 * a score that was rounded before m is taken from it would err by more the farther it is from 0. Per row there are the reference
 * maximum m, the sum of {@code 2^(s - m)} per lane, and y, the same sum weighted with the values. Keys are counted from
 * the first one that any query of the sequence sees.
 */
final class VectorRows {
    /** Query rows at most. */
    static final int ROWS = 64;
    /** Keys per step: a whole number of wide panels. */
    static final int KEYS = 64;

    /**
     * The reference maximum follows when a score exceeds it by more than this: weights stay below 2^8, and rescaling
     * sums is rare.
     */
    private static final float SLACK = 8;

    private static final double LOG2_E = 1 / Math.log(2);

    /** A lower softcap makes all weights equal as this one does; queries are divided by it, and must not overflow. */
    private static final float LOWEST_SOFTCAP = 0x1p-40f;

    /** A higher one changes no score that a float tells from its neighbors; times log2(e) it must not overflow. */
    private static final float HIGHEST_SOFTCAP = 0x1p64f;

    private static final float[] ONES = new float[KEYS];
    private static final float[] ZEROS = new float[KEYS];

    static {
        Arrays.fill(ONES, 1);
    }

    final float[] scores = new float[ROWS * KEYS]; // products, then weights
    final float[] maximum = new float[ROWS];
    final float[] sums = new float[ROWS * LANES];
    final float[] lanes = new float[VectorDots.SCRATCH];
    final float[] scales = new float[KEYS]; // of an int8 cache's keys or values
    private final float[] factors = new float[KEYS]; // from products to scores, by key
    private final float[] factorsLow = new float[KEYS]; // what is left of them: a float alone would tilt all scores
    private final float[] exponents = new float[KEYS]; // of the row at hand: its scores less its maximum
    float[] queries = {}; // [ROWS, keyDim]
    float[] y = {}; // [ROWS, valueDim]
    float[] keyRows = {}; // [KEYS, keyDim]: keys as they lie, widened
    float[] valueRows = {}; // [KEYS, valueDim]
    float[] result = {}; // [valueDim]
    float[] gate = {}; // [valueDim]
    float[] sigmoids = {}; // [valueDim]

    private double factor;
    float cap; // what scores are capped to, in powers of two; 0: none
    int count; // rows in use
    int keyDim; // D rounded up to whole vectors
    int valueDim; // Dv rounded up to whole narrow tiles
    long firstRow;
    private final int[] first = new int[ROWS];
    private final int[] end = new int[ROWS];
    private final int[] from = new int[ROWS]; // of the current 64 keys
    private final int[] to = new int[ROWS]; // at most from: the row sees none

    static int keyDim(Settings settings) {
        return VectorMath.roundUp(settings.headDim(), LANES);
    }

    static int valueDim(Settings settings) {
        return VectorMath.roundUp(settings.valueHeadDim(), VectorTile.NARROW);
    }

    /** Bytes of one thread's scratch memory. */
    static long bytes(Settings settings) {
        long dims = (long) keyDim(settings) + valueDim(settings);
        return Float.BYTES * (ROWS * (dims + KEYS + 1 + LANES) + KEYS * (dims + 4) + 3L * valueDim(settings))
                + 4L * ROWS * Integer.BYTES;
    }

    /** Makes room; what is there already stays. */
    void fit(Settings settings) {
        keyDim = keyDim(settings);
        valueDim = valueDim(settings);
        queries = atLeast(queries, ROWS * keyDim);
        y = atLeast(y, ROWS * valueDim);
        keyRows = atLeast(keyRows, KEYS * keyDim);
        valueRows = atLeast(valueRows, KEYS * valueDim);
        result = atLeast(result, valueDim);
        gate = atLeast(gate, valueDim);
        sigmoids = atLeast(sigmoids, valueDim);
    }

    static float[] atLeast(float[] array, int length) {
        return array.length < length ? new float[length] : array;
    }

    /** Starts rows {@code row} to {@code row + rows - 1} of a head: loads their queries and clears their sums. */
    void begin(VectorCall call, int b, int keyHead, long row, int rows) {
        Settings settings = call.settings();
        count = rows;
        firstRow = row;
        int dim = settings.headDim();
        factor = settings.scale() * LOG2_E;
        cap = 0;
        if (settings.isSoftcapped()) {
            double softcap = Math.clamp(settings.softcap(), LOWEST_SOFTCAP, HIGHEST_SOFTCAP);
            factor = settings.scale() / softcap;
            cap = (float) (softcap * LOG2_E);
        }
        for (int j = 0; j < KEYS; j++) {
            setFactor(j, factor);
        }
        Tensor q = call.q();
        for (int r = 0; r < rows; r++) {
            Elements.load(q.dataType(), q.segment(), call.rowOffset(q, b, keyHead, row + r), queries, r * keyDim, dim);
            Arrays.fill(queries, r * keyDim + dim, (r + 1) * keyDim, 0);
            first[r] = call.firstKey(b, row + r);
            end[r] = call.endKey(b, row + r);
        }
        int padded = VectorMath.roundUp(rows, VectorTile.ROWS);
        Arrays.fill(queries, rows * keyDim, padded * keyDim, 0);
        Arrays.fill(from, rows, padded, 0);
        Arrays.fill(to, rows, padded, 0);
        Arrays.fill(y, 0, padded * valueDim, 0);
        Arrays.fill(maximum, 0, rows, Float.NEGATIVE_INFINITY);
        Arrays.fill(sums, 0, rows * LANES, 0);
    }

    /** Makes a row the only one, and one that has seen no key. */
    void clear(long row) {
        count = 1;
        firstRow = row;
        Arrays.fill(y, 0, valueDim, 0);
        Arrays.fill(sums, 0, LANES, 0);
        maximum[0] = Float.NEGATIVE_INFINITY;
    }

    /** Products with the next n keys are those with the whole numbers of an int8 cache, which have these scales. */
    void setKeyScales(float[] keyScales, int at, int n) {
        for (int j = 0; j < n; j++) {
            setFactor(j, factor * keyScales[at + j]);
        }
    }

    /** In two floats of one sign, neither of them 0 alone: infinite products stay infinite. */
    private void setFactor(int j, double exact) {
        double within = Double.isInfinite(exact) ? exact : Math.clamp(exact, -0x1p127, 0x1p127);
        float high = (float) within;
        if (Math.abs((double) high) > Math.abs(within)) {
            high = Math.nextAfter(high, 0.0);
        }
        float low = Float.isInfinite(high) ? high : (float) (within - high);
        factors[j] = high;
        factorsLow[j] = low == 0 ? high * 0x1p-60f : low;
    }

    /** The first key that any of the rows sees: both ends of what a row sees rise with the row. */
    int firstKey() {
        return first[0];
    }

    int endKey() {
        return end[count - 1];
    }

    /** Turns to keys {@code key} to {@code key + n - 1}, n at most {@link #KEYS}. */
    void turnTo(int key, int n) {
        for (int r = 0; r < count; r++) {
            from[r] = Math.clamp(first[r] - (long) key, 0, n);
            to[r] = Math.clamp(end[r] - (long) key, 0, n);
        }
    }

    /** The first of the keys that a row of the tile at r sees; {@link #KEYS} when none sees any. */
    int tileFrom(int r) {
        int least = KEYS;
        for (int i = r; i < r + VectorTile.ROWS; i++) {
            least = from[i] < to[i] ? Math.min(least, from[i]) : least;
        }
        return least;
    }

    /** One past the last of the keys that a row of the tile sees; 0 when none sees any. */
    int tileTo(int r) {
        int most = 0;
        for (int i = r; i < r + VectorTile.ROWS; i++) {
            most = from[i] < to[i] ? Math.max(most, to[i]) : most;
        }
        return most;
    }

    /** Turns scores into weights, 0 where a row does not see the key. A NaN among those that it sees makes all NaN. */
    void softmax() {
        for (int r = 0; r < count; r++) {
            softmax(r);
        }
        int padded = VectorMath.roundUp(count, VectorTile.ROWS);
        Arrays.fill(scores, count * KEYS, padded * KEYS, 0);
    }

    private void softmax(int r) {
        int row = r * KEYS;
        if (from[r] >= to[r]) {
            Arrays.fill(scores, row, row + KEYS, 0);
            return;
        }
        if (cap > 0) {
            relate(row, factors, factorsLow, 0, scores, row);
            VectorMath.softcap(scores, row, KEYS, cap);
        }
        if (maximum[r] == Float.NEGATIVE_INFINITY) {
            relate(r, 0);
            float highest = VectorMath.largest(exponents, 0, KEYS);
            maximum[r] = highest >= 0 && highest <= SLACK ? 0 : highest;
            if (maximum[r] != 0) {
                relate(r, maximum[r]);
            }
        } else {
            relate(r, maximum[r]);
            if (!VectorMath.allAtMost(exponents, 0, KEYS, SLACK)) {
                follow(r, maximum[r] + VectorMath.largest(exponents, 0, KEYS));
                relate(r, maximum[r]);
            }
        }
        VectorMath.exponentials(exponents, scores, row, KEYS, sums, r * LANES);
    }

    /** The row's exponents, from its products or its capped scores. */
    private void relate(int r, float reference) {
        boolean capped = cap > 0;
        relate(r * KEYS, capped ? ONES : factors, capped ? ZEROS : factorsLow, reference, exponents, 0);
        Arrays.fill(exponents, 0, from[r], Float.NEGATIVE_INFINITY);
        Arrays.fill(exponents, to[r], KEYS, Float.NEGATIVE_INFINITY);
    }

    /** Scores times factors, less the reference: a plain loop, which C2 turns into vectors. */
    private void relate(int row, float[] high, float[] low, float reference, float[] target, int at) {
        for (int j = 0; j < KEYS; j++) {
            float score = scores[row + j];
            target[at + j] = Math.fma(score, high[j], -reference) + score * low[j];
        }
    }

    /** Makes this the row's reference maximum. */
    private void follow(int r, float newMaximum) {
        float factor = rescaling(maximum[r], newMaximum);
        maximum[r] = newMaximum;
        VectorMath.scale(sums, r * LANES, LANES, factor, sums, r * LANES);
        VectorMath.scale(y, r * valueDim, valueDim, factor, y, r * valueDim);
    }

    /** What sums relative to a maximum are multiplied with to be relative to a newer one. */
    static float rescaling(float before, float newMaximum) {
        return (float) Math.exp((before - (double) newMaximum) / LOG2_E);
    }

    /**
     * Adds weights times values of the current keys to the rows, for some columns.
     *
     * @param values key j's are at {@code panel + j * ldb}
     * @param unusual whether a value is infinite or NaN: 0 times that would be NaN in rows that do not see it
     */
    void addValues(boolean wide, float[] values, int panel, int ldb, int column, boolean unusual) {
        for (int r = 0; r < count; r += VectorTile.ROWS) {
            int begin = tileFrom(r);
            int depth = tileTo(r) - begin;
            if (depth <= 0) {
                continue;
            }
            int at = r * KEYS + begin;
            int target = r * valueDim + column;
            if (unusual && isUneven(r, begin, begin + depth)) {
                addRowByRow(r, values, panel, ldb, column, wide ? VectorTile.WIDE : VectorTile.NARROW);
            } else {
                VectorTile.multiply(
                        wide, scores, at, KEYS, values, panel + begin * ldb, ldb, y, target, valueDim, depth, true);
            }
        }
    }

    private boolean isUneven(int r, int begin, int stop) {
        for (int i = r; i < r + VectorTile.ROWS; i++) {
            if (i < count && (from[i] != begin || to[i] != stop)) {
                return true;
            }
        }
        return false;
    }

    private void addRowByRow(int r, float[] values, int panel, int ldb, int column, int columns) {
        for (int i = r; i < Math.min(count, r + VectorTile.ROWS); i++) {
            int begin = from[i];
            int depth = to[i] - begin;
            if (depth > 0) {
                int target = i * valueDim + column;
                VectorTile.multiplyRow(
                        scores, i * KEYS + begin, values, panel + begin * ldb, ldb, y, target, depth, columns);
            }
        }
    }
}
