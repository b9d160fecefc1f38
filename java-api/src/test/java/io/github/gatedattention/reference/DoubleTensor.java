package io.github.gatedattention.reference;

import io.github.gatedattention.DataType;
import io.github.gatedattention.Tensor;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/** Dense float64 values of rank 4. An axis of extent 1 is read as shared: any index of it gives the same element. */
public record DoubleTensor(double[] values, int[] shape) {

    /** Checks that the values fill the shape. */
    public DoubleTensor {
        if (values.length != product(shape)) {
            throw new IllegalArgumentException(values.length + " values for the shape " + Arrays.toString(shape));
        }
    }

    /** Zeros. */
    public static DoubleTensor zeros(int... shape) {
        return new DoubleTensor(new double[product(shape)], shape);
    }

    /** What a view shows, read with this class's own arithmetic. Lower ranks get leading axes of 1. */
    public static DoubleTensor of(Tensor view) {
        long[] shape = view.shape();
        long[] strides = view.strides();
        int[] extents = {1, 1, 1, 1};
        long[] steps = new long[4];
        int lead = 4 - shape.length;
        for (int axis = 0; axis < shape.length; axis++) {
            extents[lead + axis] = Math.toIntExact(shape[axis]);
            steps[lead + axis] = strides[axis];
        }
        DoubleTensor result = zeros(extents);
        MemorySegment segment = view.segment();
        DataType type = view.dataType();
        int n = 0;
        for (int a = 0; a < extents[0]; a++) {
            for (int b = 0; b < extents[1]; b++) {
                for (int c = 0; c < extents[2]; c++) {
                    long row = a * steps[0] + b * steps[1] + c * steps[2];
                    for (int d = 0; d < extents[3]; d++) {
                        result.values[n++] = Floats.get(segment, type, row + d * steps[3]);
                    }
                }
            }
        }
        return result;
    }

    /** Index of the element, with shared axes. */
    public int index(int a, int b, int c, int d) {
        int i = shape[0] == 1 ? 0 : a;
        i = i * shape[1] + (shape[1] == 1 ? 0 : b);
        i = i * shape[2] + (shape[2] == 1 ? 0 : c);
        return i * shape[3] + (shape[3] == 1 ? 0 : d);
    }

    /** The element, with shared axes. */
    public double get(int a, int b, int c, int d) {
        return values[index(a, b, c, d)];
    }

    /** The same values in a shape of as many elements. */
    public DoubleTensor reshaped(int... newShape) {
        return new DoubleTensor(values, newShape);
    }

    /** A copy rounded to {@code type}. */
    public DoubleTensor rounded(DataType type) {
        double[] copy = values.clone();
        for (int i = 0; i < copy.length; i++) {
            copy[i] = Floats.round(type, copy[i]);
        }
        return new DoubleTensor(copy, shape);
    }

    private static int product(int[] shape) {
        int product = 1;
        for (int extent : shape) {
            product = Math.multiplyExact(product, extent);
        }
        return product;
    }
}
