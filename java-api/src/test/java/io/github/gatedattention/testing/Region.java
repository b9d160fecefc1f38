package io.github.gatedattention.testing;

import io.github.gatedattention.DataType;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Floats;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.BitSet;

/**
 * A strided tensor inside memory that is watched: every element outside the view, in the gaps between its rows and in a
 * zone before and after, is a NaN that must not be read into a result nor be overwritten.
 */
public final class Region {
    /** A quiet NaN with a payload that no computation gives, per element size. */
    private static final short POISON_16 = 0x7FED;

    private static final int POISON_32 = 0x7FEDBEEF;
    private static final int ZONE = 64;

    private final MemorySegment memory;
    private final Tensor view;
    private final int base;
    private final BitSet inside = new BitSet();
    private byte[] before = new byte[0];

    /**
     * Lays out a tensor, all of it poison.
     *
     * @param strides in elements; 0 along an axis of several elements makes a shared input
     * @param misalignment elements by which the view misses a 64-byte boundary
     */
    public Region(Arena arena, DataType type, long[] shape, long[] strides, int misalignment) {
        long span = 1;
        for (int axis = 0; axis < shape.length; axis++) {
            span += Math.max(0, shape[axis] - 1) * strides[axis];
        }
        base = ZONE + misalignment;
        int elements = Math.toIntExact(base + span + ZONE);
        memory = arena.allocate((long) elements * type.byteSize(), 64);
        for (int n = 0; n < elements; n++) {
            poison(memory, type, n);
        }
        long size = type.byteSize();
        view = Tensor.of(memory.asSlice(base * size, span * size), type, shape, strides);
        mark(shape, strides, 0, base);
    }

    private static void poison(MemorySegment memory, DataType type, long element) {
        if (type == DataType.I8) {
            memory.set(ValueLayout.JAVA_BYTE, element, (byte)
                    0x7F); // no integer is a NaN: at least it would be seen to change
        } else if (type.byteSize() == 2) {
            memory.setAtIndex(ValueLayout.JAVA_SHORT, element, POISON_16);
        } else {
            memory.setAtIndex(ValueLayout.JAVA_INT, element, POISON_32);
        }
    }

    private void mark(long[] shape, long[] strides, int axis, long at) {
        if (axis == shape.length) {
            inside.set((int) at);
            return;
        }
        for (long n = 0; n < shape[axis]; n++) {
            mark(shape, strides, axis + 1, at + n * strides[axis]);
        }
    }

    /** The tensor. */
    public Tensor view() {
        return view;
    }

    /** The values that the view shows. */
    public DoubleTensor values() {
        return DoubleTensor.of(view);
    }

    /** Writes the view's elements in order of {@code values}, rounded. A shared element keeps the last one. */
    public Region fill(DoubleTensor values) {
        long[] shape = view.shape();
        long[] strides = view.strides();
        int n = 0;
        long[] index = new long[shape.length];
        for (double value : values.values()) {
            long at = 0;
            for (int axis = 0; axis < shape.length; axis++) {
                at += index[axis] * strides[axis];
            }
            Floats.put(memory, view.dataType(), base + at, value);
            n++;
            for (int axis = shape.length - 1; axis >= 0 && ++index[axis] == shape[axis]; axis--) {
                index[axis] = 0;
            }
        }
        if (n != Arrays.stream(shape).reduce(1, Math::multiplyExact)) {
            throw new IllegalArgumentException(n + " values for the shape " + Arrays.toString(shape));
        }
        return this;
    }

    /** Remembers every byte. */
    public Region remember() {
        before = memory.toArray(ValueLayout.JAVA_BYTE);
        return this;
    }

    /** Whether any byte changed since {@link #remember}. */
    public boolean changed() {
        return MemorySegment.ofArray(before).mismatch(memory) != -1;
    }

    /** Whether a byte outside the view changed since {@link #remember}. */
    public boolean changedOutside() {
        int size = view.dataType().byteSize();
        for (int n = 0; n < before.length; n++) {
            if (!inside.get(n / size) && before[n] != memory.get(ValueLayout.JAVA_BYTE, n)) {
                return true;
            }
        }
        return false;
    }

    /** How many elements of the view still hold the poison. */
    public int untouched() {
        int count = 0;
        for (int n = inside.nextSetBit(0); n >= 0; n = inside.nextSetBit(n + 1)) {
            boolean poison = view.dataType().byteSize() == 2
                    ? memory.getAtIndex(ValueLayout.JAVA_SHORT, n) == POISON_16
                    : memory.getAtIndex(ValueLayout.JAVA_INT, n) == POISON_32;
            count += poison ? 1 : 0;
        }
        return count;
    }
}
