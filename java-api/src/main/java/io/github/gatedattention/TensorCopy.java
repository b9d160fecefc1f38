package io.github.gatedattention;

import java.util.Arrays;

/** Copies whole tensors, whatever their strides and types. */
final class TensorCopy {
    private TensorCopy() {}

    static void toArray(Tensor source, float[] to) {
        int[] next = {0};
        DataType type = source.dataType();
        forEach(
                source.shape(),
                source.strides(),
                new long[source.rank()],
                (from, _) -> to[next[0]++] = Elements.get(type, source.segment(), from));
    }

    static void copy(Tensor source, Tensor target) {
        long[] shape = target.shape();
        if (!Arrays.equals(source.shape(), shape)) {
            throw new IllegalArgumentException("source has shape " + Arrays.toString(source.shape())
                    + ", but this tensor has " + Arrays.toString(shape));
        }
        if (target.segment().isReadOnly()) {
            throw new IllegalArgumentException("this tensor is read-only, but copyFrom writes to it");
        }
        DataType from = source.dataType();
        DataType to = target.dataType();
        if (from != to && !(from.isFloating() && to.isFloating())) {
            throw new IllegalArgumentException("source is " + from + ", but this tensor is " + to
                    + "; integers copy only into integers of the same type");
        }
        if (from.isFloating()) {
            forEach(
                    shape,
                    source.strides(),
                    target.strides(),
                    (a, b) -> Elements.set(to, target.segment(), b, Elements.get(from, source.segment(), a)));
        } else {
            forEach(
                    shape,
                    source.strides(),
                    target.strides(),
                    (a, b) -> Elements.setInt(to, target.segment(), b, Elements.getInt(from, source.segment(), a)));
        }
    }

    /** Takes the offsets of one element in two tensors of the same shape. */
    private interface Pair {
        void at(long first, long second);
    }

    /** Visits every element, the last axis varying fastest. */
    private static void forEach(long[] shape, long[] first, long[] second, Pair visit) {
        if (TensorLayout.elements(shape) > 0) {
            walk(shape, first, second, 0, 0, 0, visit);
        }
    }

    private static void walk(
            long[] shape, long[] first, long[] second, int axis, long firstAt, long secondAt, Pair visit) {
        boolean last = axis == shape.length - 1;
        for (long i = 0; i < shape[axis]; i++) {
            long a = firstAt + i * first[axis];
            long b = secondAt + i * second[axis];
            if (last) {
                visit.at(a, b);
            } else {
                walk(shape, first, second, axis + 1, a, b, visit);
            }
        }
    }
}
