package io.github.gatedattention;

import static io.github.gatedattention.VectorMath.LANES;
import static io.github.gatedattention.VectorRows.KEYS;
import static io.github.gatedattention.VectorTile.WIDE;

/**
 * Few query rows per key/value head: reading K and V is what takes time, so each is read once, where it lies, for all
 * rows. Keys are split into chunks by the sequence's own length; their partial results are merged in order.
 */
final class VectorDecode {
    /** Packed rows of a key/value head at most. */
    static final int ROWS = 32;

    private static final int LEAST_CHUNK = 512;
    private static final int MOST_CHUNKS = 64;

    private VectorDecode() {}

    /** Keys of a chunk of a sequence that sees {@code keys}. */
    static int chunk(int keys) {
        return Math.max(LEAST_CHUNK, VectorMath.roundUp(Math.ceilDiv(keys, MOST_CHUNKS), KEYS));
    }

    static int chunks(int keys) {
        return Math.ceilDiv(keys, chunk(keys));
    }

    /** The most chunks that a sequence of up to so many keys has. */
    static int mostChunks(int keys) {
        return Math.min(MOST_CHUNKS, Math.ceilDiv(keys, LEAST_CHUNK));
    }

    /** Floats of a row's partial result: y, the sum per lane, the maximum. */
    static int partialSize(Settings settings) {
        return VectorRows.valueDim(settings) + LANES + 1;
    }

    /** Computes a chunk of all rows of a head, and stores what comes of it. */
    static void attend(VectorCall call, VectorRows rows, int place, int b, int keyHead, int chunk) {
        int size = chunk(call.seenKeys(b));
        if (chunk >= chunks(call.seenKeys(b))) {
            return;
        }
        int count = (int) call.rows(b);
        rows.begin(call, b, keyHead, 0, count);
        int begin = Math.max(rows.firstKey(), chunk * size);
        int end = (int) Math.min(rows.endKey(), (chunk + 1L) * size);
        for (int key = begin; key < end; key += KEYS) {
            int n = Math.min(KEYS, end - key);
            rows.turnTo(key, n);
            long at = call.firstSeenKey(b) + key;
            VectorPrefill.loadRows(call.k(), call.sequences(), b, keyHead, at, n, rows.keyRows, rows.keyDim);
            scores(rows, n);
            if (call.keyScales() != null) {
                VectorPrefill.loadScales(call.keyScales(), call.sequences(), b, keyHead, at, n, rows.scales, 0);
                rows.setKeyScales(rows.scales, 0, n);
            }
            rows.softmax();
            VectorPrefill.loadValues(call, rows, b, keyHead, at, n);
            values(rows, n);
        }
        float[] partials = call.partials();
        for (int r = 0; r < count; r++) {
            int to = call.partial(place, chunk, r);
            System.arraycopy(rows.y, r * rows.valueDim, partials, to, rows.valueDim);
            System.arraycopy(rows.sums, r * LANES, partials, to + rows.valueDim, LANES);
            partials[to + rows.valueDim + LANES] = rows.maximum[r];
        }
    }

    private static void scores(VectorRows rows, int n) {
        int dim = rows.keyDim;
        int pairs = rows.count & ~1;
        // Past n there are older keys; no row sees them.
        for (int j = 0; j < n; j += VectorDots.KEYS) {
            int key = j * dim;
            for (int r = 0; r < pairs; r += 2) {
                VectorDots.twoRows(
                        rows.queries,
                        r * dim,
                        dim,
                        rows.keyRows,
                        key,
                        dim,
                        dim,
                        rows.scores,
                        r * KEYS + j,
                        KEYS,
                        rows.lanes);
            }
            if (pairs < rows.count) {
                int to = pairs * KEYS + j;
                VectorDots.oneRow(rows.queries, pairs * dim, rows.keyRows, key, dim, dim, rows.scores, to, rows.lanes);
            }
        }
    }

    private static void values(VectorRows rows, int n) {
        int dim = rows.valueDim;
        boolean unusual = VectorMath.hasUnusual(rows.valueRows, 0, n * dim);
        for (int column = 0; column < dim; column += WIDE) {
            rows.addValues(dim - column >= WIDE, rows.valueRows, column, dim, column, unusual);
        }
    }

    /** Adds the chunks of a row in the order of the keys, and finishes it. */
    static void merge(VectorCall call, VectorRows rows, int place, int b, int keyHead, int row) {
        if (row >= call.rows(b)) {
            return;
        }
        int valueDim = rows.valueDim;
        int chunks = chunks(call.seenKeys(b));
        float[] partials = call.partials();
        rows.clear(row);
        float maximum = Float.NEGATIVE_INFINITY;
        for (int chunk = 0; chunk < chunks; chunk++) {
            maximum = Math.max(maximum, partials[call.partial(place, chunk, row) + valueDim + LANES]);
        }
        rows.maximum[0] = maximum;
        for (int chunk = 0; chunk < chunks; chunk++) {
            int at = call.partial(place, chunk, row);
            float own = partials[at + valueDim + LANES];
            if (own != Float.NEGATIVE_INFINITY || isNotZero(partials, at + valueDim)) {
                float factor = VectorRows.rescaling(own, maximum);
                VectorMath.addScaled(partials, at, valueDim, factor, rows.y);
                VectorMath.addScaled(partials, at + valueDim, LANES, factor, rows.sums);
            }
        }
        VectorEpilogue.finish(call, rows, 0, b, keyHead);
    }

    /** Whether a chunk whose maximum is minus infinity was seen at all: then its sum is NaN. */
    private static boolean isNotZero(float[] partials, int sums) {
        return VectorMath.sumOfLanes(partials, sums) != 0;
    }
}
