package io.github.gatedattention.baselines;

import static io.github.gatedattention.baselines.VectorMath.LANES;
import static io.github.gatedattention.baselines.VectorMath.SPECIES;
import static io.github.gatedattention.baselines.VectorMath.load;

import jdk.incubator.vector.FloatVector;

/**
 * The matrix product of both Q Kᵀ and P V: {@code C[4 x PANEL] (+)= A[4 x depth] B[depth x PANEL]}.
 *
 * <p>B is packed: its rows are {@link #PANEL} floats and follow each other. The 4 x 4 vectors of C stay in
 * registers where there are 32 of them (AVX-512, NEON); with 16 (AVX2) the panel is done in two halves.
 */
final class Microkernel {
    /** Rows of a tile. */
    static final int ROWS = 4;
    /** Columns of a panel: four vectors. */
    static final int PANEL = 4 * LANES;

    private static final float[] ZEROS = new float[PANEL];
    private static final boolean HAS_16_REGISTERS = LANES == 8;

    private Microkernel() {}

    static void multiply(
            float[] a, int at, int lda, float[] b, int panel, float[] c, int to, int ldc, int depth, boolean add) {
        // The accumulators are loaded in either case: C2 boxes a loop's vectors that began as constants.
        float[] start = add ? c : ZEROS;
        int begin = add ? to : 0;
        int step = add ? ldc : 0;
        if (HAS_16_REGISTERS) {
            int half = 2 * LANES;
            fourByTwo(a, at, lda, b, panel, start, begin, step, c, to, ldc, depth);
            fourByTwo(a, at, lda, b, panel + half, start, add ? begin + half : 0, step, c, to + half, ldc, depth);
        } else {
            fourByFour(a, at, lda, b, panel, start, begin, step, c, to, ldc, depth);
        }
    }

    private static void fourByFour(
            float[] a,
            int at,
            int lda,
            float[] b,
            int panel,
            float[] start,
            int begin,
            int step,
            float[] c,
            int to,
            int ldc,
            int depth) {
        FloatVector c00 = load(start, begin);
        FloatVector c01 = load(start, begin + LANES);
        FloatVector c02 = load(start, begin + 2 * LANES);
        FloatVector c03 = load(start, begin + 3 * LANES);
        FloatVector c10 = load(start, begin + step);
        FloatVector c11 = load(start, begin + step + LANES);
        FloatVector c12 = load(start, begin + step + 2 * LANES);
        FloatVector c13 = load(start, begin + step + 3 * LANES);
        FloatVector c20 = load(start, begin + 2 * step);
        FloatVector c21 = load(start, begin + 2 * step + LANES);
        FloatVector c22 = load(start, begin + 2 * step + 2 * LANES);
        FloatVector c23 = load(start, begin + 2 * step + 3 * LANES);
        FloatVector c30 = load(start, begin + 3 * step);
        FloatVector c31 = load(start, begin + 3 * step + LANES);
        FloatVector c32 = load(start, begin + 3 * step + 2 * LANES);
        FloatVector c33 = load(start, begin + 3 * step + 3 * LANES);
        int at1 = at + lda;
        int at2 = at1 + lda;
        int at3 = at2 + lda;
        for (int k = 0; k < depth; k++) {
            int row = panel + k * PANEL;
            FloatVector b0 = load(b, row);
            FloatVector b1 = load(b, row + LANES);
            FloatVector b2 = load(b, row + 2 * LANES);
            FloatVector b3 = load(b, row + 3 * LANES);
            FloatVector x = FloatVector.broadcast(SPECIES, a[at + k]);
            c00 = x.fma(b0, c00);
            c01 = x.fma(b1, c01);
            c02 = x.fma(b2, c02);
            c03 = x.fma(b3, c03);
            x = FloatVector.broadcast(SPECIES, a[at1 + k]);
            c10 = x.fma(b0, c10);
            c11 = x.fma(b1, c11);
            c12 = x.fma(b2, c12);
            c13 = x.fma(b3, c13);
            x = FloatVector.broadcast(SPECIES, a[at2 + k]);
            c20 = x.fma(b0, c20);
            c21 = x.fma(b1, c21);
            c22 = x.fma(b2, c22);
            c23 = x.fma(b3, c23);
            x = FloatVector.broadcast(SPECIES, a[at3 + k]);
            c30 = x.fma(b0, c30);
            c31 = x.fma(b1, c31);
            c32 = x.fma(b2, c32);
            c33 = x.fma(b3, c33);
        }
        c00.intoArray(c, to);
        c01.intoArray(c, to + LANES);
        c02.intoArray(c, to + 2 * LANES);
        c03.intoArray(c, to + 3 * LANES);
        c10.intoArray(c, to + ldc);
        c11.intoArray(c, to + ldc + LANES);
        c12.intoArray(c, to + ldc + 2 * LANES);
        c13.intoArray(c, to + ldc + 3 * LANES);
        c20.intoArray(c, to + 2 * ldc);
        c21.intoArray(c, to + 2 * ldc + LANES);
        c22.intoArray(c, to + 2 * ldc + 2 * LANES);
        c23.intoArray(c, to + 2 * ldc + 3 * LANES);
        c30.intoArray(c, to + 3 * ldc);
        c31.intoArray(c, to + 3 * ldc + LANES);
        c32.intoArray(c, to + 3 * ldc + 2 * LANES);
        c33.intoArray(c, to + 3 * ldc + 3 * LANES);
    }

    private static void fourByTwo(
            float[] a,
            int at,
            int lda,
            float[] b,
            int panel,
            float[] start,
            int begin,
            int step,
            float[] c,
            int to,
            int ldc,
            int depth) {
        FloatVector c00 = load(start, begin);
        FloatVector c01 = load(start, begin + LANES);
        FloatVector c10 = load(start, begin + step);
        FloatVector c11 = load(start, begin + step + LANES);
        FloatVector c20 = load(start, begin + 2 * step);
        FloatVector c21 = load(start, begin + 2 * step + LANES);
        FloatVector c30 = load(start, begin + 3 * step);
        FloatVector c31 = load(start, begin + 3 * step + LANES);
        int at1 = at + lda;
        int at2 = at1 + lda;
        int at3 = at2 + lda;
        for (int k = 0; k < depth; k++) {
            int row = panel + k * PANEL;
            FloatVector b0 = load(b, row);
            FloatVector b1 = load(b, row + LANES);
            FloatVector x = FloatVector.broadcast(SPECIES, a[at + k]);
            c00 = x.fma(b0, c00);
            c01 = x.fma(b1, c01);
            x = FloatVector.broadcast(SPECIES, a[at1 + k]);
            c10 = x.fma(b0, c10);
            c11 = x.fma(b1, c11);
            x = FloatVector.broadcast(SPECIES, a[at2 + k]);
            c20 = x.fma(b0, c20);
            c21 = x.fma(b1, c21);
            x = FloatVector.broadcast(SPECIES, a[at3 + k]);
            c30 = x.fma(b0, c30);
            c31 = x.fma(b1, c31);
        }
        c00.intoArray(c, to);
        c01.intoArray(c, to + LANES);
        c10.intoArray(c, to + ldc);
        c11.intoArray(c, to + ldc + LANES);
        c20.intoArray(c, to + 2 * ldc);
        c21.intoArray(c, to + 2 * ldc + LANES);
        c30.intoArray(c, to + 3 * ldc);
        c31.intoArray(c, to + 3 * ldc + LANES);
    }
}
