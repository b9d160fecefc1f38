package io.github.gatedattention;

import static io.github.gatedattention.VectorMath.HAS_FMA;
import static io.github.gatedattention.VectorMath.LANES;
import static io.github.gatedattention.VectorMath.SPECIES;
import static io.github.gatedattention.VectorMath.load;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorShuffle;

/**
 * Scores of a few queries with keys that lie in rows: {@code C[rows x 4] = A[rows x dim] B[4 x dim]ᵀ}. Each lane has a
 * sum of its own, then the lanes are added.
 */
final class VectorDots {
    /** Keys that are done together. */
    static final int KEYS = 4;
    /** Floats of scratch memory: the lanes of two rows' sums. */
    static final int SCRATCH = 2 * KEYS * LANES;

    private static final VectorShuffle<Float> BY_8 = rotation(8);
    private static final VectorShuffle<Float> BY_4 = rotation(4);
    private static final VectorShuffle<Float> BY_2 = rotation(2);
    private static final VectorShuffle<Float> BY_1 = rotation(1);

    private VectorDots() {}

    private static VectorShuffle<Float> rotation(int lanes) {
        return VectorShuffle.fromOp(SPECIES, lane -> (lane + lanes) & (LANES - 1));
    }

    /** Two rows of A at {@code at} and {@code at + lda}; dim is a whole number of vectors. */
    static void twoRows(
            float[] a,
            int at,
            int lda,
            float[] b,
            int keys,
            int ldb,
            int dim,
            float[] c,
            int to,
            int ldc,
            float[] scratch) {
        multiplyTwoRows(a, at, lda, b, keys, ldb, dim, scratch);
        addLanes(scratch, 0, c, to);
        addLanes(scratch, KEYS * LANES, c, to + ldc);
    }

    /** One row of A. */
    static void oneRow(float[] a, int at, float[] b, int keys, int ldb, int dim, float[] c, int to, float[] scratch) {
        multiplyRow(a, at, b, keys, ldb, dim, scratch);
        addLanes(scratch, 0, c, to);
    }

    private static void multiplyTwoRows(float[] a, int at, int lda, float[] b, int keys, int ldb, int dim, float[] to) {
        FloatVector c00 = VectorMath.zero();
        FloatVector c01 = c00;
        FloatVector c02 = c00;
        FloatVector c03 = c00;
        FloatVector c10 = c00;
        FloatVector c11 = c00;
        FloatVector c12 = c00;
        FloatVector c13 = c00;
        for (int d = 0; d < dim; d += LANES) {
            FloatVector a0 = FloatVector.fromArray(SPECIES, a, at + d);
            FloatVector a1 = FloatVector.fromArray(SPECIES, a, at + lda + d);
            FloatVector x = FloatVector.fromArray(SPECIES, b, keys + d);
            c00 = HAS_FMA ? x.fma(a0, c00) : x.mul(a0).add(c00);
            c10 = HAS_FMA ? x.fma(a1, c10) : x.mul(a1).add(c10);
            x = FloatVector.fromArray(SPECIES, b, keys + ldb + d);
            c01 = HAS_FMA ? x.fma(a0, c01) : x.mul(a0).add(c01);
            c11 = HAS_FMA ? x.fma(a1, c11) : x.mul(a1).add(c11);
            x = FloatVector.fromArray(SPECIES, b, keys + 2 * ldb + d);
            c02 = HAS_FMA ? x.fma(a0, c02) : x.mul(a0).add(c02);
            c12 = HAS_FMA ? x.fma(a1, c12) : x.mul(a1).add(c12);
            x = FloatVector.fromArray(SPECIES, b, keys + 3 * ldb + d);
            c03 = HAS_FMA ? x.fma(a0, c03) : x.mul(a0).add(c03);
            c13 = HAS_FMA ? x.fma(a1, c13) : x.mul(a1).add(c13);
        }
        c00.intoArray(to, 0);
        c01.intoArray(to, LANES);
        c02.intoArray(to, 2 * LANES);
        c03.intoArray(to, 3 * LANES);
        c10.intoArray(to, 4 * LANES);
        c11.intoArray(to, 5 * LANES);
        c12.intoArray(to, 6 * LANES);
        c13.intoArray(to, 7 * LANES);
    }

    private static void multiplyRow(float[] a, int at, float[] b, int keys, int ldb, int dim, float[] to) {
        FloatVector c0 = VectorMath.zero();
        FloatVector c1 = c0;
        FloatVector c2 = c0;
        FloatVector c3 = c0;
        for (int d = 0; d < dim; d += LANES) {
            FloatVector a0 = FloatVector.fromArray(SPECIES, a, at + d);
            FloatVector x = FloatVector.fromArray(SPECIES, b, keys + d);
            c0 = HAS_FMA ? x.fma(a0, c0) : x.mul(a0).add(c0);
            x = FloatVector.fromArray(SPECIES, b, keys + ldb + d);
            c1 = HAS_FMA ? x.fma(a0, c1) : x.mul(a0).add(c1);
            x = FloatVector.fromArray(SPECIES, b, keys + 2 * ldb + d);
            c2 = HAS_FMA ? x.fma(a0, c2) : x.mul(a0).add(c2);
            x = FloatVector.fromArray(SPECIES, b, keys + 3 * ldb + d);
            c3 = HAS_FMA ? x.fma(a0, c3) : x.mul(a0).add(c3);
        }
        c0.intoArray(to, 0);
        c1.intoArray(to, LANES);
        c2.intoArray(to, 2 * LANES);
        c3.intoArray(to, 3 * LANES);
    }

    /** The sums of the lanes of four vectors, in an order that is the same interpreted and compiled. */
    private static void addLanes(float[] x, int at, float[] c, int to) {
        for (int j = 0; j < KEYS; j++) {
            FloatVector s = load(x, at + j * LANES);
            if (LANES >= 16) {
                s = s.add(s.rearrange(BY_8));
            }
            if (LANES >= 8) {
                s = s.add(s.rearrange(BY_4));
            }
            if (LANES >= 4) {
                s = s.add(s.rearrange(BY_2));
            }
            if (LANES >= 2) {
                s = s.add(s.rearrange(BY_1));
            }
            c[to + j] = s.lane(0);
        }
    }
}
