package io.github.gatedattention.baselines;

import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The few functions on rows that attention needs.
 *
 * <p>They take and return arrays and floats, not vectors: a vector that crosses a call is boxed unless C2 inlines the
 * call, and C2 declines to inline what it has already compiled on its own into more than a few instructions.
 */
final class VectorMath {
    /** The machine's widest vectors, but 512 bits at most: rows are multiples of 16 floats. */
    static final VectorSpecies<Float> SPECIES =
            FloatVector.SPECIES_PREFERRED.length() > 16 ? FloatVector.SPECIES_512 : FloatVector.SPECIES_PREFERRED;

    static final int LANES = SPECIES.length();
    static final float LOG2_E = 1.442695f;
    /** Stands for minus infinity where a difference of two of them has to be 0, not NaN. */
    static final float LOWEST = -1e30f;

    /** Adding 1.5 * 2^23 rounds to an integer, which then sits in the low bits. */
    private static final float ROUNDER = 12582912f;

    /** exp2 of less is below the smallest normal number. */
    private static final float MIN_EXPONENT = -126f;

    // ln(2)^n / n!
    private static final float C1 = 0.6931472f;
    private static final float C2 = 0.2402265f;
    private static final float C3 = 0.05550411f;
    private static final float C4 = 0.009618129f;
    private static final float C5 = 0.0013333558f;
    private static final float C6 = 0.0001540353f;

    private static final float[] ZEROS = new float[LANES];

    private VectorMath() {}

    static FloatVector load(float[] from, int at) {
        return FloatVector.fromArray(SPECIES, from, at);
    }

    /** Zeros to begin a sum with. They are loaded because C2 boxes a loop's vector that began as a constant. */
    static FloatVector zero() {
        return load(ZEROS, 0);
    }

    /** The largest of {@code count} elements, a multiple of the lanes. */
    static float largest(float[] x, int from, int count) {
        FloatVector m = load(x, from);
        for (int i = LANES; i < count; i += LANES) {
            m = m.max(load(x, from + i));
        }
        return m.reduceLanes(VectorOperators.MAX);
    }

    /**
     * Replaces {@code count} elements, a multiple of the lanes, by 2^(element - max); returns their sum. No element may
     * exceed max; what is below it by more than 126 counts as 2^-126. The relative error is 2e-7.
     */
    static float exponentials(float[] x, int from, int count, float max) {
        FloatVector sum = zero();
        for (int i = from; i < from + count; i += LANES) {
            FloatVector t = load(x, i).sub(max).max(MIN_EXPONENT);
            FloatVector rounded = t.add(ROUNDER);
            FloatVector f = t.sub(rounded.sub(ROUNDER)); // in [-0.5, 0.5]
            FloatVector p = FloatVector.broadcast(SPECIES, C6);
            p = p.fma(f, FloatVector.broadcast(SPECIES, C5));
            p = p.fma(f, FloatVector.broadcast(SPECIES, C4));
            p = p.fma(f, FloatVector.broadcast(SPECIES, C3));
            p = p.fma(f, FloatVector.broadcast(SPECIES, C2));
            p = p.fma(f, FloatVector.broadcast(SPECIES, C1));
            p = p.fma(f, FloatVector.broadcast(SPECIES, 1f));
            IntVector exponent = rounded.reinterpretAsInts().lanewise(VectorOperators.LSHL, 23);
            FloatVector e = p.reinterpretAsInts().add(exponent).reinterpretAsFloats();
            e.intoArray(x, i);
            sum = sum.add(e);
        }
        return sum.reduceLanes(VectorOperators.ADD);
    }

    /** to[i] = from[i] * factor, {@code count} a multiple of the lanes. */
    static void scaled(float[] from, int at, float factor, float[] to, int target, int count) {
        for (int i = 0; i < count; i += LANES) {
            load(from, at + i).mul(factor).intoArray(to, target + i);
        }
    }

    /**
     * out[i] = y[i] * factor * sigmoid(gate[i]), gate and out at the same place, {@code count} a multiple of the lanes.
     * The sigmoid is 1 / (1 + e) or, for a negative score, e / (1 + e) with e = exp(-|gate|): accurate on both sides.
     */
    static void gated(
            float[] y, int at, float factor, float[] gate, float[] out, int target, int count, float[] scratch) {
        for (int i = 0; i < count; i += LANES) {
            load(gate, target + i).abs().mul(-LOG2_E).intoArray(scratch, i);
        }
        exponentials(scratch, 0, count, 0);
        for (int i = 0; i < count; i += LANES) {
            FloatVector e = load(scratch, i);
            FloatVector one = FloatVector.broadcast(SPECIES, 1f);
            FloatVector numerator = one.blend(e, load(gate, target + i).compare(VectorOperators.LT, 0f));
            load(y, at + i).mul(factor).mul(numerator.div(one.add(e))).intoArray(out, target + i);
        }
    }
}
