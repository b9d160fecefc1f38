package io.github.gatedattention;

import java.util.Arrays;
import java.util.Objects;

/** The arithmetic of shapes and strides, in elements, with every overflow refused. */
final class TensorLayout {
    private static final int MAX_RANK = 8;

    private TensorLayout() {}

    /** Refuses ranks, extents and strides that no tensor has, and sizes beyond 2^63 - 1 bytes. */
    static void check(DataType dataType, long[] shape, long[] strides) {
        checkShape(dataType, shape);
        if (strides.length != shape.length) {
            throw new IllegalArgumentException(
                    "strides has " + strides.length + " axes, but shape has " + shape.length);
        }
        for (int axis = 0; axis < strides.length; axis++) {
            if (strides[axis] < 0) {
                throw new IllegalArgumentException(
                        "stride of axis " + axis + " is " + strides[axis] + ", but strides are at least 0");
            }
        }
        spanBytes(dataType, shape, strides);
    }

    private static void checkShape(DataType dataType, long[] shape) {
        Objects.requireNonNull(dataType, "dataType is null");
        if (shape.length < 1 || shape.length > MAX_RANK) {
            throw new IllegalArgumentException(
                    "shape has " + shape.length + " axes, but a tensor has 1 to " + MAX_RANK);
        }
        for (int axis = 0; axis < shape.length; axis++) {
            if (shape[axis] < 0) {
                throw new IllegalArgumentException(
                        "axis " + axis + " has " + shape[axis] + " elements, but an extent is at least 0");
            }
        }
    }

    /** Strides of a tensor without gaps, the last axis varying fastest; an extent of 0 counts as 1. */
    static long[] contiguousStrides(DataType dataType, long[] shape) {
        checkShape(dataType, shape);
        long[] strides = new long[shape.length];
        long step = 1;
        try {
            for (int axis = shape.length - 1; axis >= 0; axis--) {
                strides[axis] = step;
                step = Math.multiplyExact(step, Math.max(1, shape[axis]));
            }
            Math.multiplyExact(step, (long) dataType.byteSize());
        } catch (ArithmeticException e) {
            throw tooLarge(dataType, shape, e);
        }
        return strides;
    }

    static long elements(long[] shape) {
        long elements = 1;
        for (long extent : shape) {
            if (extent == 0) {
                return 0;
            }
        }
        try {
            for (long extent : shape) {
                elements = Math.multiplyExact(elements, extent);
            }
        } catch (ArithmeticException e) {
            // Only a view that repeats elements by strides of 0 comes here: its memory is smaller than its extents.
            throw new IllegalArgumentException("shape " + Arrays.toString(shape) + " has over 2^63 - 1 elements", e);
        }
        return elements;
    }

    /** Bytes from the first element to the end of the last; 0 when there is no element. */
    static long spanBytes(DataType dataType, long[] shape, long[] strides) {
        long last = 0;
        try {
            for (int axis = 0; axis < shape.length; axis++) {
                if (shape[axis] == 0) {
                    return 0;
                }
                last = Math.addExact(last, Math.multiplyExact(shape[axis] - 1, strides[axis]));
            }
            return Math.multiplyExact(Math.addExact(last, 1), (long) dataType.byteSize());
        } catch (ArithmeticException e) {
            throw tooLarge(dataType, shape, e);
        }
    }

    private static IllegalArgumentException tooLarge(DataType dataType, long[] shape, ArithmeticException cause) {
        return new IllegalArgumentException(
                "a " + dataType + " tensor of shape " + Arrays.toString(shape) + " spans over 2^63 - 1 bytes", cause);
    }

    /**
     * The strides that let {@code newShape} walk the elements in the old order. Neighboring old axes are merged while
     * they are contiguous with each other, and each merged run is cut into new axes.
     */
    static long[] reshape(DataType dataType, long[] shape, long[] strides, long[] newShape) {
        long[] result = contiguousStrides(dataType, newShape);
        long elements = elements(shape);
        if (elements(newShape) != elements) {
            throw new IllegalArgumentException("shape " + Arrays.toString(newShape) + " has " + elements(newShape)
                    + " elements, but the tensor has " + elements);
        }
        if (elements == 0) {
            return result;
        }
        int to = newShape.length - 1;
        int from = shape.length - 1;
        while (from >= 0) {
            long run = 1;
            long step = 1;
            for (; from >= 0; from--) {
                if (shape[from] == 1) {
                    continue;
                }
                if (run == 1) {
                    step = strides[from];
                } else if (strides[from] != run * step) {
                    break;
                }
                run *= shape[from];
            }
            while (run > 1) {
                long extent = newShape[to];
                if (run % extent != 0) {
                    throw new IllegalArgumentException("shape " + Arrays.toString(newShape) + " cannot view a "
                            + describe(dataType, shape, strides) + " without a copy; use copyFrom");
                }
                result[to--] = step;
                step *= extent;
                run /= extent;
            }
        }
        return result;
    }

    /** For messages: "BF16 tensor of shape [1, 7, 4, 64]", and strides when there are gaps. */
    static String describe(DataType dataType, long[] shape, long[] strides) {
        String text = dataType + " tensor of shape " + Arrays.toString(shape);
        return Arrays.equals(strides, contiguousStrides(dataType, shape))
                ? text
                : text + " with strides " + Arrays.toString(strides);
    }
}
