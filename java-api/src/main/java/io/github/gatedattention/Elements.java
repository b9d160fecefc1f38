package io.github.gatedattention;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** Moves elements between off-heap memory and the heap; offsets are in elements. */
final class Elements {
    private static final ValueLayout.OfFloat FLOAT = ValueLayout.JAVA_FLOAT;
    private static final ValueLayout.OfInt INT = ValueLayout.JAVA_INT;
    private static final ValueLayout.OfShort BITS = ValueLayout.JAVA_SHORT;

    private Elements() {}

    static float get(DataType type, MemorySegment from, long offset) {
        return type == DataType.F32
                ? from.get(FLOAT, offset * Float.BYTES)
                : type.fromBits(from.get(BITS, offset * Short.BYTES));
    }

    /** The scale of a row of whole numbers that begins at {@code offset} of a tensor of scales. */
    static float scale(Tensor scales, long offset) {
        return scales.segment().get(FLOAT, offset * Float.BYTES);
    }

    static int getInt(MemorySegment from, long offset) {
        return from.get(INT, offset * Integer.BYTES);
    }

    static int getInt(DataType type, MemorySegment from, long offset) {
        return type == DataType.I8 ? from.get(ValueLayout.JAVA_BYTE, offset) : getInt(from, offset);
    }

    /** Writes a value that {@link #checkInt} has let through. */
    static void setInt(DataType type, MemorySegment to, long offset, int value) {
        if (type == DataType.I8) {
            to.set(ValueLayout.JAVA_BYTE, offset, (byte) value);
        } else {
            to.set(INT, offset * Integer.BYTES, value);
        }
    }

    static void checkInt(DataType type, String name, int value) {
        if (type == DataType.I8 && value != (byte) value) {
            throw new IllegalArgumentException(name + " is " + value + ", but I8 holds -128 to 127");
        }
    }

    static void set(DataType type, MemorySegment to, long offset, float value) {
        if (type == DataType.F32) {
            to.set(FLOAT, offset * Float.BYTES, value);
        } else {
            to.set(BITS, offset * Short.BYTES, type.toBits(value));
        }
    }

    /** Reads {@code n} neighbors, widened exactly. */
    static void load(DataType type, MemorySegment from, long offset, float[] to, int toOffset, int n) {
        if (type == DataType.F32) {
            MemorySegment.copy(from, FLOAT, offset * Float.BYTES, to, toOffset, n);
            return;
        }
        if (type == DataType.I8) {
            for (int i = 0; i < n; i++) {
                to[toOffset + i] = from.get(ValueLayout.JAVA_BYTE, offset + i);
            }
            return;
        }
        long at = offset * Short.BYTES;
        if (type == DataType.BF16) {
            for (int i = 0; i < n; i++) {
                to[toOffset + i] = DataType.BF16.fromBits(from.get(BITS, at + (long) i * Short.BYTES));
            }
        } else {
            for (int i = 0; i < n; i++) {
                to[toOffset + i] = Float.float16ToFloat(from.get(BITS, at + (long) i * Short.BYTES));
            }
        }
    }

    /** Writes {@code n} neighbors, rounded to the type. */
    static void store(DataType type, float[] from, int fromOffset, MemorySegment to, long offset, int n) {
        if (type == DataType.F32) {
            MemorySegment.copy(from, fromOffset, to, FLOAT, offset * Float.BYTES, n);
            return;
        }
        long at = offset * Short.BYTES;
        for (int i = 0; i < n; i++) {
            to.set(BITS, at + (long) i * Short.BYTES, type.toBits(from[fromOffset + i]));
        }
    }
}
