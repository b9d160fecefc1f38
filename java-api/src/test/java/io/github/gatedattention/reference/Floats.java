package io.github.gatedattention.reference;

import io.github.gatedattention.DataType;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Rounding to the element types and their decoding, written apart from the library's own. */
public final class Floats {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT_UNALIGNED;
    private static final ValueLayout.OfShort SHORT = ValueLayout.JAVA_SHORT_UNALIGNED;

    private Floats() {}

    /** The element of {@code type} nearest to {@code x}, ties to even. */
    public static double round(DataType type, double x) {
        return switch (type) {
            case F32 -> (float) x;
            case BF16 -> round(x, 8, -133);
            case F16 -> Float.float16ToFloat(Float.floatToFloat16((float) round(x, 11, -24)));
            case I32, I8 -> throw new IllegalArgumentException(type + " holds no fractions");
        };
    }

    /** Rounds to {@code digits} binary digits, none of them worth less than {@code 2^lowest}. */
    private static double round(double x, int digits, int lowest) {
        if (x == 0 || Double.isNaN(x) || Double.isInfinite(x)) {
            return x;
        }
        int exponent = Math.max(Math.getExponent(x) - (digits - 1), lowest);
        return Math.scalb(Math.rint(Math.scalb(x, -exponent)), exponent);
    }

    /** The eps of the error rule: one ulp of 1 in f32, half a {@link #roundoff} in 16-bit types. */
    public static double epsilon(DataType type) {
        return switch (type) {
            case F32 -> 0x1p-23;
            case BF16 -> 0x1p-9;
            case F16 -> 0x1p-12;
            case I32, I8 -> throw new IllegalArgumentException(type + " has no epsilon");
        };
    }

    /** The largest relative error of one rounding to {@code type}. */
    public static double roundoff(DataType type) {
        return type == DataType.F32 ? 0x1p-24 : 2 * epsilon(type);
    }

    /** Half the distance of numbers below the normal range, where {@link #epsilon} stops to hold; 0 where it is next to nothing. */
    public static double subnormal(DataType type) {
        return type == DataType.F16 ? 0x1p-25 : 0;
    }

    /** Writes {@code x}, rounded, as element {@code index}. */
    public static void put(MemorySegment segment, DataType type, long index, double x) {
        double rounded = type == DataType.I8 ? x : round(type, x);
        switch (type) {
            case F32 -> segment.set(FLOAT, index * 4, (float) rounded);
            case BF16 -> segment.set(SHORT, index * 2, (short) (Float.floatToRawIntBits((float) rounded) >>> 16));
            case F16 -> segment.set(SHORT, index * 2, Float.floatToFloat16((float) rounded));
            case I8 -> segment.set(ValueLayout.JAVA_BYTE, index, (byte) rounded);
            case I32 -> throw new IllegalArgumentException("I32 holds no fractions");
        }
    }

    /** Reads element {@code index}. */
    public static double get(MemorySegment segment, DataType type, long index) {
        return switch (type) {
            case F32 -> segment.get(FLOAT, index * 4);
            case BF16 -> Float.intBitsToFloat(segment.get(SHORT, index * 2) << 16);
            case F16 -> Float.float16ToFloat(segment.get(SHORT, index * 2));
            case I32 -> segment.get(ValueLayout.JAVA_INT_UNALIGNED, index * 4);
            case I8 -> segment.get(ValueLayout.JAVA_BYTE, index);
        };
    }
}
