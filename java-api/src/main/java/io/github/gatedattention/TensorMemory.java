package io.github.gatedattention;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Objects;

/** Whether memory, or an array, fits a tensor. */
final class TensorMemory {
    /** Stands for any thread that opened no arena: a confined one is closed to it. */
    private static final Thread STRANGER = Thread.ofPlatform().unstarted(() -> {});

    private TensorMemory() {}

    /** Whether every thread may use the segment; that of a confined arena is for its own thread alone. */
    static boolean isForAllThreads(MemorySegment segment) {
        return segment.isAccessibleBy(STRANGER);
    }

    /** Refuses segments that native code cannot read, or that end before the last element. */
    static void check(MemorySegment segment, DataType dataType, long[] shape, long[] strides) {
        Objects.requireNonNull(segment, "segment is null");
        if (!segment.isNative()) {
            throw new IllegalArgumentException("segment is on the Java heap, but native code reads off-heap memory;"
                    + " use Tensor.copyOf, or allocate it from an Arena");
        }
        if (segment.address() == 0) {
            throw new IllegalArgumentException(
                    "segment is at address 0, but a tensor needs memory; allocate it from an Arena");
        }
        long needed = TensorLayout.spanBytes(dataType, shape, strides);
        if (segment.byteSize() < needed) {
            throw new IllegalArgumentException("segment has " + segment.byteSize() + " bytes, but a "
                    + TensorLayout.describe(dataType, shape, strides) + " needs " + needed);
        }
        if (segment.address() % dataType.byteSize() != 0) {
            throw new IllegalArgumentException("segment is at address 0x" + Long.toHexString(segment.address())
                    + ", but " + dataType + " elements must be aligned to " + dataType.byteSize()
                    + " bytes; copy it with copyFrom into an aligned tensor");
        }
    }

    /** Refuses arrays of another size than the shape's. */
    static void checkCount(int values, DataType dataType, long[] shape) {
        TensorLayout.contiguousStrides(dataType, shape);
        long elements = TensorLayout.elements(shape);
        if (values != elements) {
            throw new IllegalArgumentException(
                    "values has " + values + " elements, but shape " + Arrays.toString(shape) + " has " + elements);
        }
    }
}
