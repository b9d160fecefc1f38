package io.github.gatedattention.bench;

/** The type of all operands; accumulation is the implementation's own affair. */
public enum Precision {
    /** 32-bit floats. */
    F32(4),
    /** bfloat16. */
    BF16(2),
    /** IEEE 754 binary16. */
    F16(2);

    private static final int DROPPED_BITS = 16;

    private final int bytes;

    Precision(int bytes) {
        this.bytes = bytes;
    }

    /** {@return bytes per element} */
    public int bytes() {
        return bytes;
    }

    /**
     * {@return the nearest value of this type, ties to even}
     *
     * @param value a finite value
     */
    public float round(float value) {
        if (this == F32) {
            return value;
        }
        if (this == F16) {
            return Float.float16ToFloat(Float.floatToFloat16(value));
        }
        int bits = Float.floatToRawIntBits(value);
        int half = (1 << (DROPPED_BITS - 1)) - 1 + ((bits >>> DROPPED_BITS) & 1);
        return Float.intBitsToFloat((bits + half) >>> DROPPED_BITS << DROPPED_BITS);
    }
}
