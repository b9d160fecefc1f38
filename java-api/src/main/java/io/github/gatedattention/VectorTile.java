package io.github.gatedattention;

import static io.github.gatedattention.VectorMath.HAS_FMA;
import static io.github.gatedattention.VectorMath.LANES;
import static io.github.gatedattention.VectorMath.SPECIES;

import jdk.incubator.vector.FloatVector;

/**
 * The matrix product of both Q Kᵀ and P V: {@code C[4 x n] (+)= A[4 x depth] B[depth x n]}, n two or four vectors.
 *
 * <p>The sums of one call begin at 0 and are added to C at the end, so that the error of a long sum grows with the number
 * of calls, not of terms. The 4 x 4 vectors of C stay in registers where there are 32 of them (AVX-512, NEON); with 16
 * (AVX2) they are done in two halves.
 *
 * <p>The Vector API is called directly here: its own methods are inlined in any case, but C2 stops inlining others, which
 * puts vectors into boxes, once a method has grown as large as these.
 */
final class VectorTile {
    /** Rows of a tile. */
    static final int ROWS = 4;
    /** Columns of a wide tile: four vectors. */
    static final int WIDE = 4 * LANES;
    /** Columns of a narrow tile: two vectors. */
    static final int NARROW = 2 * LANES;

    private static final float[] ZEROS = new float[ROWS * WIDE];

    private VectorTile() {}

    /**
     * Multiplies.
     *
     * @param wide whether C has {@link #WIDE} columns, or {@link #NARROW}
     * @param lda floats between the rows of A; likewise ldb and ldc
     * @param add whether C is added to, or overwritten
     */
    static void multiply(
            boolean wide,
            float[] a,
            int at,
            int lda,
            float[] b,
            int panel,
            int ldb,
            float[] c,
            int to,
            int ldc,
            int depth,
            boolean add) {
        // What is added is read in either case: a branch around it would put the vectors into boxes.
        float[] start = add ? c : ZEROS;
        int begin = add ? to : 0;
        int step = add ? ldc : 0;
        if (!wide) {
            multiplyNarrow(a, at, lda, b, panel, ldb, start, begin, step, c, to, ldc, depth);
        } else if (VectorMath.HAS_32_REGISTERS) {
            multiplyWide(a, at, lda, b, panel, ldb, start, begin, step, c, to, ldc, depth);
        } else {
            int half = add ? begin + NARROW : 0;
            multiplyNarrow(a, at, lda, b, panel, ldb, start, begin, step, c, to, ldc, depth);
            multiplyNarrow(a, at, lda, b, panel + NARROW, ldb, start, half, step, c, to + NARROW, ldc, depth);
        }
    }

    private static void multiplyWide(
            float[] a,
            int at,
            int lda,
            float[] b,
            int panel,
            int ldb,
            float[] start,
            int begin,
            int step,
            float[] c,
            int to,
            int ldc,
            int depth) {
        FloatVector zero = FloatVector.fromArray(SPECIES, ZEROS, 0);
        FloatVector c00 = zero;
        FloatVector c01 = zero;
        FloatVector c02 = zero;
        FloatVector c03 = zero;
        FloatVector c10 = zero;
        FloatVector c11 = zero;
        FloatVector c12 = zero;
        FloatVector c13 = zero;
        FloatVector c20 = zero;
        FloatVector c21 = zero;
        FloatVector c22 = zero;
        FloatVector c23 = zero;
        FloatVector c30 = zero;
        FloatVector c31 = zero;
        FloatVector c32 = zero;
        FloatVector c33 = zero;
        int at1 = at + lda;
        int at2 = at1 + lda;
        int at3 = at2 + lda;
        for (int k = 0; k < depth; k++) {
            int row = panel + k * ldb;
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, row);
            FloatVector b1 = FloatVector.fromArray(SPECIES, b, row + LANES);
            FloatVector b2 = FloatVector.fromArray(SPECIES, b, row + 2 * LANES);
            FloatVector b3 = FloatVector.fromArray(SPECIES, b, row + 3 * LANES);
            FloatVector x = FloatVector.broadcast(SPECIES, a[at + k]);
            c00 = HAS_FMA ? x.fma(b0, c00) : x.mul(b0).add(c00);
            c01 = HAS_FMA ? x.fma(b1, c01) : x.mul(b1).add(c01);
            c02 = HAS_FMA ? x.fma(b2, c02) : x.mul(b2).add(c02);
            c03 = HAS_FMA ? x.fma(b3, c03) : x.mul(b3).add(c03);
            x = FloatVector.broadcast(SPECIES, a[at1 + k]);
            c10 = HAS_FMA ? x.fma(b0, c10) : x.mul(b0).add(c10);
            c11 = HAS_FMA ? x.fma(b1, c11) : x.mul(b1).add(c11);
            c12 = HAS_FMA ? x.fma(b2, c12) : x.mul(b2).add(c12);
            c13 = HAS_FMA ? x.fma(b3, c13) : x.mul(b3).add(c13);
            x = FloatVector.broadcast(SPECIES, a[at2 + k]);
            c20 = HAS_FMA ? x.fma(b0, c20) : x.mul(b0).add(c20);
            c21 = HAS_FMA ? x.fma(b1, c21) : x.mul(b1).add(c21);
            c22 = HAS_FMA ? x.fma(b2, c22) : x.mul(b2).add(c22);
            c23 = HAS_FMA ? x.fma(b3, c23) : x.mul(b3).add(c23);
            x = FloatVector.broadcast(SPECIES, a[at3 + k]);
            c30 = HAS_FMA ? x.fma(b0, c30) : x.mul(b0).add(c30);
            c31 = HAS_FMA ? x.fma(b1, c31) : x.mul(b1).add(c31);
            c32 = HAS_FMA ? x.fma(b2, c32) : x.mul(b2).add(c32);
            c33 = HAS_FMA ? x.fma(b3, c33) : x.mul(b3).add(c33);
        }
        c00.add(FloatVector.fromArray(SPECIES, start, begin)).intoArray(c, to);
        c01.add(FloatVector.fromArray(SPECIES, start, begin + LANES)).intoArray(c, to + LANES);
        c02.add(FloatVector.fromArray(SPECIES, start, begin + 2 * LANES)).intoArray(c, to + 2 * LANES);
        c03.add(FloatVector.fromArray(SPECIES, start, begin + 3 * LANES)).intoArray(c, to + 3 * LANES);
        c10.add(FloatVector.fromArray(SPECIES, start, begin + step)).intoArray(c, to + ldc);
        c11.add(FloatVector.fromArray(SPECIES, start, begin + step + LANES)).intoArray(c, to + ldc + LANES);
        c12.add(FloatVector.fromArray(SPECIES, start, begin + step + 2 * LANES)).intoArray(c, to + ldc + 2 * LANES);
        c13.add(FloatVector.fromArray(SPECIES, start, begin + step + 3 * LANES)).intoArray(c, to + ldc + 3 * LANES);
        c20.add(FloatVector.fromArray(SPECIES, start, begin + 2 * step)).intoArray(c, to + 2 * ldc);
        c21.add(FloatVector.fromArray(SPECIES, start, begin + 2 * step + LANES)).intoArray(c, to + 2 * ldc + LANES);
        c22.add(FloatVector.fromArray(SPECIES, start, begin + 2 * step + 2 * LANES))
                .intoArray(c, to + 2 * ldc + 2 * LANES);
        c23.add(FloatVector.fromArray(SPECIES, start, begin + 2 * step + 3 * LANES))
                .intoArray(c, to + 2 * ldc + 3 * LANES);
        c30.add(FloatVector.fromArray(SPECIES, start, begin + 3 * step)).intoArray(c, to + 3 * ldc);
        c31.add(FloatVector.fromArray(SPECIES, start, begin + 3 * step + LANES)).intoArray(c, to + 3 * ldc + LANES);
        c32.add(FloatVector.fromArray(SPECIES, start, begin + 3 * step + 2 * LANES))
                .intoArray(c, to + 3 * ldc + 2 * LANES);
        c33.add(FloatVector.fromArray(SPECIES, start, begin + 3 * step + 3 * LANES))
                .intoArray(c, to + 3 * ldc + 3 * LANES);
    }

    private static void multiplyNarrow(
            float[] a,
            int at,
            int lda,
            float[] b,
            int panel,
            int ldb,
            float[] start,
            int begin,
            int step,
            float[] c,
            int to,
            int ldc,
            int depth) {
        FloatVector zero = FloatVector.fromArray(SPECIES, ZEROS, 0);
        FloatVector c00 = zero;
        FloatVector c01 = zero;
        FloatVector c10 = zero;
        FloatVector c11 = zero;
        FloatVector c20 = zero;
        FloatVector c21 = zero;
        FloatVector c30 = zero;
        FloatVector c31 = zero;
        int at1 = at + lda;
        int at2 = at1 + lda;
        int at3 = at2 + lda;
        for (int k = 0; k < depth; k++) {
            int row = panel + k * ldb;
            FloatVector b0 = FloatVector.fromArray(SPECIES, b, row);
            FloatVector b1 = FloatVector.fromArray(SPECIES, b, row + LANES);
            FloatVector x = FloatVector.broadcast(SPECIES, a[at + k]);
            c00 = HAS_FMA ? x.fma(b0, c00) : x.mul(b0).add(c00);
            c01 = HAS_FMA ? x.fma(b1, c01) : x.mul(b1).add(c01);
            x = FloatVector.broadcast(SPECIES, a[at1 + k]);
            c10 = HAS_FMA ? x.fma(b0, c10) : x.mul(b0).add(c10);
            c11 = HAS_FMA ? x.fma(b1, c11) : x.mul(b1).add(c11);
            x = FloatVector.broadcast(SPECIES, a[at2 + k]);
            c20 = HAS_FMA ? x.fma(b0, c20) : x.mul(b0).add(c20);
            c21 = HAS_FMA ? x.fma(b1, c21) : x.mul(b1).add(c21);
            x = FloatVector.broadcast(SPECIES, a[at3 + k]);
            c30 = HAS_FMA ? x.fma(b0, c30) : x.mul(b0).add(c30);
            c31 = HAS_FMA ? x.fma(b1, c31) : x.mul(b1).add(c31);
        }
        c00.add(FloatVector.fromArray(SPECIES, start, begin)).intoArray(c, to);
        c01.add(FloatVector.fromArray(SPECIES, start, begin + LANES)).intoArray(c, to + LANES);
        c10.add(FloatVector.fromArray(SPECIES, start, begin + step)).intoArray(c, to + ldc);
        c11.add(FloatVector.fromArray(SPECIES, start, begin + step + LANES)).intoArray(c, to + ldc + LANES);
        c20.add(FloatVector.fromArray(SPECIES, start, begin + 2 * step)).intoArray(c, to + 2 * ldc);
        c21.add(FloatVector.fromArray(SPECIES, start, begin + 2 * step + LANES)).intoArray(c, to + 2 * ldc + LANES);
        c30.add(FloatVector.fromArray(SPECIES, start, begin + 3 * step)).intoArray(c, to + 3 * ldc);
        c31.add(FloatVector.fromArray(SPECIES, start, begin + 3 * step + LANES)).intoArray(c, to + 3 * ldc + LANES);
    }

    /**
     * One row of the same product, term by term what a tile computes: {@code c += sum over k of a[k] * b[k]}. For rows
     * that see fewer keys than their tile.
     */
    static void multiplyRow(
            float[] a, int at, float[] b, int panel, int ldb, float[] c, int to, int depth, int columns) {
        for (int column = 0; column < columns; column += LANES) {
            FloatVector sum = VectorMath.zero();
            for (int k = 0; k < depth; k++) {
                FloatVector x = FloatVector.broadcast(SPECIES, a[at + k]);
                sum = VectorMath.multiplyAdd(x, VectorMath.load(b, panel + k * ldb + column), sum);
            }
            sum.add(VectorMath.load(c, to + column)).intoArray(c, to + column);
        }
    }
}
