package io.github.gatedattention;

import static io.github.gatedattention.VectorRows.KEYS;
import static io.github.gatedattention.VectorRows.ROWS;
import static io.github.gatedattention.VectorTile.NARROW;
import static io.github.gatedattention.VectorTile.WIDE;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Many query rows per key/value head. First K and V are packed once per head into the panels that {@link VectorTile}
 * reads: strides and types end there. Then 64 packed rows at a time meet 64 keys at a time; scores never leave the
 * nearest cache.
 */
final class VectorPrefill {
    /**
     * Terms of a score that are summed in one register, see docs/kernels.md. Of few terms each is large beside the score, so those
     * of small heads take shorter sums.
     */
    private static int depth(int dim) {
        return dim < 32 ? 4 : dim < 48 ? 8 : dim < 64 ? 16 : 32;
    }

    private VectorPrefill() {}

    /** Floats of 64 packed keys, {@code [KEYS / WIDE, D, WIDE]}, and their scales. */
    static long packedKeys(Settings settings) {
        return KEYS * (settings.headDim() + 1L);
    }

    /** Where a block of 64 packed keys begins; its scales follow them. */
    private static int packedKeys(Settings settings, int block) {
        return block * KEYS * (settings.headDim() + 1);
    }

    /** Floats of 64 packed values, {@code [wide panels, KEYS, WIDE]} and a narrow one where Dv leaves that. */
    static long packedValues(Settings settings) {
        return (long) KEYS * VectorRows.valueDim(settings);
    }

    /** Packs 64 keys and values of a place in {@link VectorCall}'s packed memory. */
    static void pack(VectorCall call, VectorRows scratch, int place, int b, int keyHead, int block) {
        int n = Math.min(KEYS, call.seenKeys(b) - block * KEYS);
        if (n <= 0) {
            return;
        }
        Settings settings = call.settings();
        int at = call.packedBlock(place, block);
        long key = call.firstSeenKey(b) + (long) block * KEYS;
        int dim = settings.headDim();
        loadRows(call.k(), call.sequences(), b, keyHead, key, n, scratch.keyRows, scratch.keyDim);
        Arrays.fill(scratch.keyRows, n * scratch.keyDim, KEYS * scratch.keyDim, 0);
        int keys = packedKeys(settings, at);
        loadScales(call.keyScales(), call.sequences(), b, keyHead, key, n, call.packedKeys(), keys + KEYS * dim);
        for (int panel = 0; panel < KEYS; panel += WIDE) {
            transpose(
                    scratch.keyRows,
                    panel * scratch.keyDim,
                    scratch.keyDim,
                    dim,
                    call.packedKeys(),
                    keys + panel * dim);
        }
        loadValues(call, scratch, b, keyHead, key, n);
        Arrays.fill(scratch.valueRows, n * scratch.valueDim, KEYS * scratch.valueDim, 0);
        int valueDim = scratch.valueDim;
        int values = at * KEYS * valueDim;
        for (int column = 0; column < valueDim; column += WIDE) {
            int width = Math.min(WIDE, valueDim - column);
            for (int j = 0; j < KEYS; j++) {
                int to = values + column * KEYS + j * width;
                System.arraycopy(scratch.valueRows, j * valueDim + column, call.packedValues(), to, width);
            }
        }
        call.setUnusual(at, VectorMath.hasUnusual(scratch.valueRows, 0, KEYS * valueDim));
    }

    /** Reads n values of one head, widened and scaled, into their rows. */
    static void loadValues(VectorCall call, VectorRows rows, int b, int head, long key, int n) {
        loadRows(call.v(), call.sequences(), b, head, key, n, rows.valueRows, rows.valueDim);
        if (call.valueScales() != null) {
            loadScales(call.valueScales(), call.sequences(), b, head, key, n, rows.scales, 0);
            for (int j = 0; j < n; j++) {
                multiply(rows.valueRows, j * rows.valueDim, rows.valueDim, rows.scales[j]);
            }
        }
    }

    /** Reads n scales of one head; without a cache that has them, nothing. */
    static void loadScales(
            @Nullable Tensor scales, SequenceTable sequences, int b, int head, long key, int n, float[] to, int at) {
        if (scales != null) {
            for (int j = 0; j < n; j++) {
                to[at + j] = Elements.scale(scales, sequences.keyOffset(scales, b, key + j, head));
            }
        }
    }

    /** Reads n keys or values of one head, widened, into rows of {@code width}; the rest of a row is 0. */
    static void loadRows(
            Tensor from, SequenceTable sequences, int b, int head, long key, int n, float[] to, int width) {
        int dim = (int) from.dim(3);
        for (int j = 0; j < n; j++) {
            long offset = sequences.keyOffset(from, b, key + j, head);
            Elements.load(from.dataType(), from.segment(), offset, to, j * width, dim);
            Arrays.fill(to, j * width + dim, (j + 1) * width, 0);
        }
    }

    /** A plain loop, which C2 turns into vectors: a method of vectors called from one more place might be inlined in none. */
    private static void multiply(float[] x, int at, int n, float factor) {
        for (int i = at; i < at + n; i++) {
            x[i] *= factor;
        }
    }

    /** {@code [WIDE, dim]} to {@code [dim, WIDE]}. */
    private static void transpose(float[] from, int at, int stride, int dim, float[] to, int target) {
        for (int j = 0; j < WIDE; j += 4) {
            transposeFour(from, at + j * stride, stride, dim, to, target + j);
        }
    }

    private static void transposeFour(float[] from, int at, int stride, int dim, float[] to, int target) {
        int at1 = at + stride;
        int at2 = at1 + stride;
        int at3 = at2 + stride;
        for (int d = 0; d < dim; d++) {
            int t = target + d * WIDE;
            to[t] = from[at + d];
            to[t + 1] = from[at1 + d];
            to[t + 2] = from[at2 + d];
            to[t + 3] = from[at3 + d];
        }
    }

    /** Computes a block of packed rows, of a sequence that has so many. */
    static void attend(VectorCall call, VectorRows rows, int place, int b, int keyHead, long block) {
        long row = block * ROWS;
        int count = (int) Math.min(ROWS, call.rows(b) - row);
        if (count <= 0) {
            return;
        }
        rows.begin(call, b, keyHead, row, count);
        int end = rows.endKey();
        for (int key = rows.firstKey() / KEYS * KEYS; key < end; key += KEYS) {
            int at = call.packedBlock(place, key / KEYS);
            rows.turnTo(key, Math.min(KEYS, end - key));
            scores(call, rows, at);
            if (call.keyScales() != null) {
                int scales = packedKeys(call.settings(), at + 1) - KEYS;
                rows.setKeyScales(call.packedKeys(), scales, Math.min(KEYS, end - key));
            }
            rows.softmax();
            values(call, rows, at);
        }
        for (int r = 0; r < count; r++) {
            VectorEpilogue.finish(call, rows, r, b, keyHead);
        }
    }

    /** A slice of K of {@link #depth} by {@link VectorTile#WIDE} stays in the nearest cache for all rows. */
    private static void scores(VectorCall call, VectorRows rows, int block) {
        int dim = call.settings().headDim();
        int depth = depth(dim);
        int keys = packedKeys(call.settings(), block);
        for (int panel = 0; panel < KEYS; panel += WIDE) {
            for (int d = 0; d < dim; d += depth) {
                int slice = keys + panel * dim + d * WIDE;
                scores(rows, call.packedKeys(), panel, slice, d, Math.min(depth, dim - d));
            }
        }
    }

    private static void scores(VectorRows rows, float[] keys, int panel, int slice, int d, int depth) {
        int keyDim = rows.keyDim;
        for (int r = 0; r < rows.count; r += VectorTile.ROWS) {
            int from = rows.tileFrom(r);
            int to = rows.tileTo(r);
            boolean left = from < panel + NARROW && to > panel;
            boolean right = from < panel + WIDE && to > panel + NARROW;
            if (left || right) {
                int shift = left ? 0 : NARROW;
                VectorTile.multiply(
                        left && right,
                        rows.queries,
                        r * keyDim + d,
                        keyDim,
                        keys,
                        slice + shift,
                        WIDE,
                        rows.scores,
                        r * KEYS + panel + shift,
                        KEYS,
                        depth,
                        d > 0);
            }
        }
    }

    private static void values(VectorCall call, VectorRows rows, int block) {
        int valueDim = rows.valueDim;
        int values = block * KEYS * valueDim;
        boolean unusual = call.isUnusual(block);
        for (int column = 0; column < valueDim; column += WIDE) {
            boolean wide = valueDim - column >= WIDE;
            int width = wide ? WIDE : NARROW;
            rows.addValues(wide, call.packedValues(), values + column * KEYS, width, column, unusual);
        }
    }
}
