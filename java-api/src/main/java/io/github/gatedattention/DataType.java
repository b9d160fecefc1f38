package io.github.gatedattention;

/** The types of a tensor's elements. Attention accumulates in 32-bit floating point whatever the type. */
public enum DataType {
    /** IEEE 754 binary32. */
    F32(4),
    /** bfloat16: the upper half of a binary32. */
    BF16(2),
    /** IEEE 754 binary16. */
    F16(2),
    /** 32-bit two's complement integers, the type of what describes {@link Sequences}. */
    I32(4),
    /** 8-bit two's complement integers, for keys and values alone: each stands for its number times its {@link Scales scale}. */
    I8(1);

    private final int byteSize;

    DataType(int byteSize) {
        this.byteSize = byteSize;
    }

    /**
     * Returns the size of one element.
     *
     * @return bytes per element
     */
    public int byteSize() {
        return byteSize;
    }

    /** Whether elements are floating-point numbers. */
    boolean isFloating() {
        return this != I32 && this != I8;
    }

    /** The value of this type closest to {@code value}, ties to even. */
    float round(float value) {
        return switch (this) {
            case F32 -> value;
            case BF16, F16 -> fromBits(toBits(value));
            case I32, I8 -> throw new IllegalArgumentException(this + " holds no floating-point values");
        };
    }

    /** Widens the 16 bits of a {@link #BF16} or {@link #F16} value, exactly. */
    float fromBits(short bits) {
        return this == BF16 ? Float.intBitsToFloat(bits << 16) : Float.float16ToFloat(bits);
    }

    /** Narrows to the 16 bits of a {@link #BF16} or {@link #F16} value, ties to even; NaN stays NaN. */
    short toBits(float value) {
        if (this == F16) {
            return Float.floatToFloat16(value);
        }
        int bits = Float.floatToRawIntBits(value);
        if (Float.isNaN(value)) {
            return (short) ((bits >>> 16) | 0x40); // quiet: the bits that make it a NaN may be among those cut off
        }
        return (short) ((bits + 0x7FFF + ((bits >>> 16) & 1)) >>> 16);
    }
}
