package io.github.gatedattention.safetensors;

import java.util.Arrays;

/** The size rules of the format, for reader and writer alike. */
final class Shapes {
    static final int MAX_RANK = 8;

    private Shapes() {}

    /**
     * Bytes of a tensor of {@code shape}.
     *
     * @throws IllegalArgumentException saying what is wrong with the shape, without naming the tensor
     */
    static long bytes(SafetensorsType type, long[] shape) {
        if (shape.length > MAX_RANK) {
            throw new IllegalArgumentException(
                    "shape has " + shape.length + " dimensions, at most " + MAX_RANK + " are supported");
        }
        // The product of the dimensions other than zero has to fit too: strides are computed from it.
        long elements = 1;
        boolean empty = false;
        for (long dimension : shape) {
            if (dimension < 0) {
                throw new IllegalArgumentException(
                        "dimension " + dimension + " of shape " + Arrays.toString(shape) + " is negative");
            }
            if (dimension == 0) {
                empty = true;
            } else if (elements > type.maxElements() / dimension) {
                throw new IllegalArgumentException("shape " + Arrays.toString(shape) + " of " + type.bits()
                        + "-bit elements overflows: the size must stay below 2^63");
            } else {
                elements *= dimension;
            }
        }
        if (empty) {
            return 0;
        }
        if (!type.isPacked()) {
            return elements * (type.bits() / 8);
        }
        long bits = elements * type.bits();
        if (bits % 8 != 0) {
            throw new IllegalArgumentException("shape " + Arrays.toString(shape) + " of " + type + " takes " + bits
                    + " bits, which do not end on a byte");
        }
        return bits / 8;
    }
}
