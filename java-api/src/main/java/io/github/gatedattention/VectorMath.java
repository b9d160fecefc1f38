package io.github.gatedattention;

import java.util.Set;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.IntVector;
import jdk.incubator.vector.VectorOperators;
import jdk.incubator.vector.VectorSpecies;

/**
 * The few functions on rows that attention needs, on vectors of whatever width the machine prefers. Counts are whole
 * numbers of vectors.
 *
 * <p>They take arrays and floats, not vectors: a vector that crosses a call is boxed unless the JIT compiler inlines the
 * call, and it declines to inline what it has compiled on its own into more than a few instructions, and anything into what has
 * grown large: longer methods call the Vector API alone, which is always inlined. The factor 2^n, n in [-127, 127], is made of its bits in the exponent's place; for -127 they
 * are those of 0. No sum over the
 * lanes of a vector is left to {@code reduceLanes}, whose order differs between the interpreter and compiled code:
 * results would differ from one run to the next.
 */
final class VectorMath {
    /** At most 512 bits, so that a block of 64 keys is a whole number of panels of four vectors. */
    static final VectorSpecies<Float> SPECIES =
            FloatVector.SPECIES_PREFERRED.length() > 16 ? FloatVector.SPECIES_512 : FloatVector.SPECIES_PREFERRED;

    static final int LANES = SPECIES.length();

    private static final boolean IS_X86 =
            Set.of("amd64", "x86_64", "x86", "i386").contains(System.getProperty("os.arch"));

    /** x86 with 128-bit vectors has no fused multiply-add; Java would compute it with BigDecimal. */
    static final boolean HAS_FMA = !IS_X86 || LANES > 4;

    /** Whether there are 32 vector registers, or 16: AVX2 and older. */
    static final boolean HAS_32_REGISTERS = !IS_X86 || LANES == 16;

    /** Adding 1.5 * 2^23 rounds to an integer, which then sits in the low bits. */
    private static final float ROUNDER = 0x1.8p23f;

    /** 2^-127 has no normal representation: its exponent bits are those of 0. */
    private static final float ZERO_EXPONENT = -127;

    private static final int ONE_BITS = 0x3F800000;
    private static final int MANTISSA_BITS = 23;
    private static final float LOG2_E = 1.442695f;

    // 2^f for |f| <= 0.5, minimax: 1 + f (A1 + f (A2 + ...))
    private static final float A1 = 0.6931471825f;
    private static final float A2 = 0.2402264476f;
    private static final float A3 = 0.05550347269f;
    private static final float A4 = 0.009618384764f;
    private static final float A5 = 0.001339262701f;
    private static final float A6 = 0.0001535920892f;

    // exp(f) for |f| <= ln(2)/2, minimax: 1 + f + f^2 (B2 + f (B3 + ...))
    private static final float B2 = 0.5f;
    private static final float B3 = 0.1666666716f;
    private static final float B4 = 0.04166648537f;
    private static final float B5 = 0.008333360776f;
    private static final float B6 = 0.001393043553f;
    private static final float B7 = 0.0001985276176f;

    // -ln(2) in two parts: the first has so few bits that its product with an exponent is exact.
    private static final float LN2_HIGH = -0.693145751953125f;
    private static final float LN2_LOW = -1.428606765e-6f;

    /** exp of this and less is 0 here; in the last step to it f stays small. */
    private static final float LOWEST_EXP = -88.03f;

    /** From here on, tanh is 1 minus a small number; below, x minus one. */
    private static final float TANH_BORDER = 0.9f;

    /** tanh of this and more is 1. */
    private static final float TANH_IS_ONE = 40;

    private static final float[] ZEROS = new float[LANES];

    private VectorMath() {}

    /** The least multiple of {@code step} that is at least n. */
    static int roundUp(int n, int step) {
        return (n + step - 1) / step * step;
    }

    static FloatVector load(float[] from, int at) {
        return FloatVector.fromArray(SPECIES, from, at);
    }

    /** Zeros to begin a sum with. They are loaded because C2 boxes a loop's vector that began as a constant. */
    static FloatVector zero() {
        return load(ZEROS, 0);
    }

    static FloatVector broadcast(float value) {
        return FloatVector.broadcast(SPECIES, value);
    }

    /** {@code a * b + c}, rounded once where the machine can. */
    static FloatVector multiplyAdd(FloatVector a, FloatVector b, FloatVector c) {
        return HAS_FMA ? a.fma(b, c) : a.mul(b).add(c);
    }

    /** The largest element; NaN when there is one. */
    static float largest(float[] x, int from, int count) {
        FloatVector m = load(x, from);
        for (int i = LANES; i < count; i += LANES) {
            m = m.max(load(x, from + i));
        }
        return m.reduceLanes(VectorOperators.MAX);
    }

    /** Whether no element is above the limit or NaN. */
    static boolean allAtMost(float[] x, int from, int count, float limit) {
        for (int i = from; i < from + count; i += LANES) { // no mask outlives a step: C2 would box it
            if (!load(x, i).compare(VectorOperators.LE, limit).allTrue()) {
                return false;
            }
        }
        return true;
    }

    /** Whether an element is infinite or NaN. */
    static boolean hasUnusual(float[] x, int from, int count) {
        for (int i = from; i < from + count; i += LANES) {
            if (!load(x, i).mul(0).compare(VectorOperators.EQ, 0).allTrue()) { // 0 times those is NaN
                return true;
            }
        }
        return false;
    }

    /**
     * {@code to[at + i] = 2^x[i]}, added to the sum of its lane, at {@code sums[lanes]} and after. x is less than 100; what is below
     * -126.5 gives 0.
     */
    static void exponentials(float[] x, float[] to, int at, int count, float[] sums, int lanes) {
        FloatVector sum = FloatVector.fromArray(SPECIES, sums, lanes);
        for (int i = 0; i < count; i += LANES) {
            FloatVector t = FloatVector.fromArray(SPECIES, x, i);
            t = t.blend(ZERO_EXPONENT, t.compare(VectorOperators.LT, ZERO_EXPONENT)); // keeps NaN
            FloatVector rounded = t.add(ROUNDER);
            FloatVector f = t.sub(rounded.sub(ROUNDER)); // in [-0.5, 0.5]
            FloatVector p = HAS_FMA
                    ? FloatVector.broadcast(SPECIES, A6).fma(f, FloatVector.broadcast(SPECIES, A5))
                    : FloatVector.broadcast(SPECIES, A6).mul(f).add(A5);
            p = HAS_FMA
                    ? p.fma(f, FloatVector.broadcast(SPECIES, A4))
                    : p.mul(f).add(A4);
            p = HAS_FMA
                    ? p.fma(f, FloatVector.broadcast(SPECIES, A3))
                    : p.mul(f).add(A3);
            p = HAS_FMA
                    ? p.fma(f, FloatVector.broadcast(SPECIES, A2))
                    : p.mul(f).add(A2);
            p = HAS_FMA
                    ? p.fma(f, FloatVector.broadcast(SPECIES, A1))
                    : p.mul(f).add(A1);
            p = HAS_FMA ? p.fma(f, FloatVector.broadcast(SPECIES, 1)) : p.mul(f).add(1);
            IntVector exponent = rounded.reinterpretAsInts().lanewise(VectorOperators.LSHL, MANTISSA_BITS);
            // A product, not a sum of bits, so that NaN stays NaN.
            FloatVector e = p.mul(exponent.add(ONE_BITS).reinterpretAsFloats());
            e.intoArray(to, at + i);
            sum = sum.add(e);
        }
        sum.intoArray(sums, lanes);
    }

    /**
     * {@code to[i] = sigmoid(x[i])} to within 3 units in the last place, below 2^-126 to 0: 1 / (1 + e) or, for a
     * negative x, e / (1 + e) with e = exp(-|x|), accurate on both sides.
     */
    static void sigmoid(float[] x, int count, float[] to) {
        for (int i = 0; i < count; i += LANES) {
            FloatVector g = FloatVector.fromArray(SPECIES, x, i);
            FloatVector t = g.abs().neg();
            t = t.blend(LOWEST_EXP, t.compare(VectorOperators.LT, LOWEST_EXP));
            FloatVector rounded = t.mul(LOG2_E).add(ROUNDER);
            FloatVector n = rounded.sub(ROUNDER);
            FloatVector f = HAS_FMA
                    ? n.fma(FloatVector.broadcast(SPECIES, LN2_HIGH), t)
                    : n.mul(LN2_HIGH).add(t);
            f = HAS_FMA
                    ? n.fma(FloatVector.broadcast(SPECIES, LN2_LOW), f)
                    : n.mul(LN2_LOW).add(f);
            FloatVector p = HAS_FMA
                    ? FloatVector.broadcast(SPECIES, B7).fma(f, FloatVector.broadcast(SPECIES, B6))
                    : FloatVector.broadcast(SPECIES, B7).mul(f).add(B6);
            p = HAS_FMA
                    ? p.fma(f, FloatVector.broadcast(SPECIES, B5))
                    : p.mul(f).add(B5);
            p = HAS_FMA
                    ? p.fma(f, FloatVector.broadcast(SPECIES, B4))
                    : p.mul(f).add(B4);
            p = HAS_FMA
                    ? p.fma(f, FloatVector.broadcast(SPECIES, B3))
                    : p.mul(f).add(B3);
            p = HAS_FMA
                    ? p.fma(f, FloatVector.broadcast(SPECIES, B2))
                    : p.mul(f).add(B2);
            p = HAS_FMA ? p.fma(f.mul(f), f) : p.mul(f.mul(f)).add(f);
            p = p.add(1);
            IntVector exponent = rounded.reinterpretAsInts().lanewise(VectorOperators.LSHL, MANTISSA_BITS);
            FloatVector e = p.mul(exponent.add(ONE_BITS).reinterpretAsFloats());
            FloatVector numerator = FloatVector.broadcast(SPECIES, 1).blend(e, g.compare(VectorOperators.LT, 0));
            numerator.div(e.add(1)).intoArray(to, i);
        }
    }

    /**
     * Replaces each element x by {@code cap * tanh(x)}, to about a unit in the last place: near 0 it is x minus a correction
     * from tanh's continued fraction, {@code q (45045 + 2772 q + 27 q^2) / (135135 + 62370 q + 3150 q^2 + 28 q^3)} with q =
     * x^2, else {@code 1 - 2e / (1 + e)} with e = exp(-2|x|).
     */
    static void softcap(float[] x, int from, int count, float cap) {
        for (int i = from; i < from + count; i += LANES) {
            FloatVector s = FloatVector.fromArray(SPECIES, x, i);
            FloatVector a = s.abs();
            FloatVector t = a.blend(TANH_IS_ONE, a.compare(VectorOperators.GT, TANH_IS_ONE))
                    .mul(-2); // keeps NaN
            FloatVector rounded = t.mul(LOG2_E).add(ROUNDER);
            FloatVector n = rounded.sub(ROUNDER);
            FloatVector f = HAS_FMA
                    ? n.fma(FloatVector.broadcast(SPECIES, LN2_HIGH), t)
                    : n.mul(LN2_HIGH).add(t);
            f = HAS_FMA
                    ? n.fma(FloatVector.broadcast(SPECIES, LN2_LOW), f)
                    : n.mul(LN2_LOW).add(f);
            FloatVector p = f.mul(B7).add(B6);
            p = p.mul(f).add(B5);
            p = p.mul(f).add(B4);
            p = p.mul(f).add(B3);
            p = p.mul(f).add(B2);
            p = p.mul(f.mul(f)).add(f).add(1);
            IntVector exponent = rounded.reinterpretAsInts().lanewise(VectorOperators.LSHL, MANTISSA_BITS);
            FloatVector e = p.mul(exponent.add(ONE_BITS).reinterpretAsFloats());
            FloatVector far = e.add(e).div(e.add(1)).neg().add(1);
            FloatVector q = s.mul(s);
            FloatVector above = q.mul(27).add(2772).mul(q).add(45045).mul(q);
            FloatVector below = q.mul(28).add(3150).mul(q).add(62370).mul(q).add(135135);
            FloatVector near = a.sub(a.mul(above.div(below)));
            FloatVector result = far.blend(near, a.compare(VectorOperators.LT, TANH_BORDER));
            result.blend(result.neg(), s.compare(VectorOperators.LT, 0))
                    .mul(cap)
                    .intoArray(x, i);
        }
    }

    /** {@code to[i] = x[at + i] * factor}. */
    static void scale(float[] x, int at, int count, float factor, float[] to, int target) {
        for (int i = 0; i < count; i += LANES) {
            load(x, at + i).mul(factor).intoArray(to, target + i);
        }
    }

    /** {@code to[i] += x[at + i] * factor}. */
    static void addScaled(float[] x, int at, int count, float factor, float[] to) {
        for (int i = 0; i < count; i += LANES) {
            load(x, at + i).mul(factor).add(load(to, i)).intoArray(to, i);
        }
    }

    /** {@code x[i] = x[i] * factor + summand}. */
    static void affine(float[] x, int count, float factor, float summand) {
        for (int i = 0; i < count; i += LANES) {
            load(x, i).mul(factor).add(summand).intoArray(x, i);
        }
    }

    /** {@code to[i] *= x[i]}. */
    static void multiply(float[] x, int count, float[] to) {
        for (int i = 0; i < count; i += LANES) {
            load(to, i).mul(load(x, i)).intoArray(to, i);
        }
    }

    /** {@code to[i] += x[i]}. */
    static void add(float[] x, int count, float[] to) {
        for (int i = 0; i < count; i += LANES) {
            load(to, i).add(load(x, i)).intoArray(to, i);
        }
    }

    /** The sum of the lanes of one vector in x, always in the same order. */
    static double sumOfLanes(float[] x, int at) {
        double sum = 0;
        for (int lane = 0; lane < LANES; lane++) {
            sum += x[at + lane];
        }
        return sum;
    }
}
