package io.github.gatedattention;

/**
 * Numbers to whole ones of 8 bits with one scale for a row: {@code scale = max |x| / 127}, and {@code n = x / scale}, rounded to
 * nearest, ties to even; all in float. So n is -127 to 127, and {@code n * scale} is at most half a scale from x.
 *
 * <p>A row whose scale would be subnormal (a maximum below 2^-119) becomes zeros with scale 0. A row that holds a NaN or an
 * infinity gets scale NaN: it makes NaN of what sees it, as it would unquantized, and of nothing else.
 */
final class Quantizer {
    static final int MOST = 127;

    /** A float from here on has no bits below 1: adding it rounds, and leaves the whole number in the lowest bits. */
    private static final float ROUND = 0x1.8p23f;

    private static final int INFINITY_BITS = 0x7f800000;

    private Quantizer() {}

    /** Quantizes {@code n} neighbors; gives the scale. */
    static float quantize(float[] x, int from, int n, byte[] to, int at) {
        float scale = scale(largestBits(x, from, n));
        if (scale > 0) {
            for (int i = 0; i < n; i++) {
                to[at + i] = (byte) Float.floatToRawIntBits(x[from + i] / scale + ROUND);
            }
        } else {
            for (int i = 0; i < n; i++) {
                to[at + i] = 0;
            }
        }
        return scale;
    }

    /** The bits of the largest magnitude: those of floats without a sign are in the order of the floats, NaN last. */
    private static int largestBits(float[] x, int from, int n) {
        int largest = 0;
        for (int i = 0; i < n; i++) {
            largest = Math.max(largest, Float.floatToRawIntBits(x[from + i]) & Integer.MAX_VALUE);
        }
        return largest;
    }

    private static float scale(int largestBits) {
        if (largestBits >= INFINITY_BITS) {
            return Float.NaN;
        }
        float scale = Float.intBitsToFloat(largestBits) / MOST;
        return scale < Float.MIN_NORMAL ? 0 : scale;
    }
}
