package io.github.gatedattention;

import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/**
 * Keys, or values, of a cache: rows of {@code [heads, dim]} one after another, and for I8 a scale per row and head. Not safe
 * for several threads.
 */
final class RowStore {
    private final DataType dataType;
    private final int heads;
    private final int dim;
    private final MemorySegment memory;
    /** Of no bytes unless the type is I8. */
    private final MemorySegment scales;

    private final float[] row;
    private final byte[] numbers;

    RowStore(DataType dataType, int heads, int dim, MemorySegment memory, MemorySegment scales) {
        this.dataType = dataType;
        this.heads = heads;
        this.dim = dim;
        this.memory = memory;
        this.scales = scales;
        this.row = new float[Math.multiplyExact(heads, dim)];
        this.numbers = new byte[dataType == DataType.I8 ? row.length : 0];
    }

    /** Copies {@code rows} rows within the cache. */
    void copy(long from, long to, long rows) {
        long rowBytes = (long) row.length * dataType.byteSize();
        MemorySegment.copy(memory, from * rowBytes, memory, to * rowBytes, rows * rowBytes);
        if (dataType == DataType.I8) {
            long scaleBytes = (long) heads * Float.BYTES;
            MemorySegment.copy(scales, from * scaleBytes, scales, to * scaleBytes, rows * scaleBytes);
        }
    }

    /** Writes {@code rows} tokens of a tensor's entry, from {@code token} on, to the rows from {@code target} on. */
    void write(Tensor from, long entry, long token, long rows, long target) {
        if (from.dataType() == dataType) {
            copy(from, entry, token, rows, target);
        } else {
            convert(from, entry, token, rows, target);
        }
    }

    /** Where a token begins in a tensor of tokens, in elements. */
    private static long offset(Tensor from, long entry, long token) {
        int axis = from.rank() - 3;
        return (axis == 1 ? entry * from.stride(0) : 0) + token * from.stride(axis);
    }

    private boolean hasNeighboringHeads(Tensor from) {
        return heads == 1 || from.stride(from.rank() - 2) == dim;
    }

    private void copy(Tensor from, long entry, long token, long rows, long target) {
        long bytes = dataType.byteSize();
        long headBytes = dim * bytes;
        long rowBytes = heads * headBytes;
        long tokenStep = from.stride(from.rank() - 3) * bytes;
        long headStep = from.stride(from.rank() - 2) * bytes;
        long source = offset(from, entry, token) * bytes;
        long to = target * rowBytes;
        boolean neighboringHeads = hasNeighboringHeads(from);
        if (neighboringHeads && (rows == 1 || tokenStep == rowBytes)) {
            MemorySegment.copy(from.segment(), source, memory, to, rows * rowBytes);
            return;
        }
        for (long n = 0; n < rows; n++) {
            if (neighboringHeads) {
                MemorySegment.copy(from.segment(), source + n * tokenStep, memory, to + n * rowBytes, rowBytes);
                continue;
            }
            for (int h = 0; h < heads; h++) {
                MemorySegment.copy(
                        from.segment(),
                        source + n * tokenStep + h * headStep,
                        memory,
                        to + n * rowBytes + h * headBytes,
                        headBytes);
            }
        }
    }

    private void convert(Tensor from, long entry, long token, long rows, long target) {
        for (long n = 0; n < rows; n++) {
            load(from, offset(from, entry, token + n));
            long to = (target + n) * row.length;
            if (dataType != DataType.I8) {
                Elements.store(dataType, row, 0, memory, to, row.length);
                continue;
            }
            for (int h = 0; h < heads; h++) {
                float scale = Quantizer.quantize(row, h * dim, dim, numbers, h * dim);
                scales.set(ValueLayout.JAVA_FLOAT, ((target + n) * heads + h) * Float.BYTES, scale);
            }
            MemorySegment.copy(numbers, 0, memory, ValueLayout.JAVA_BYTE, to, numbers.length);
        }
    }

    /** Reads a token, widened. */
    private void load(Tensor from, long offset) {
        if (hasNeighboringHeads(from)) {
            Elements.load(from.dataType(), from.segment(), offset, row, 0, row.length);
            return;
        }
        long step = from.stride(from.rank() - 2);
        for (int h = 0; h < heads; h++) {
            Elements.load(from.dataType(), from.segment(), offset + h * step, row, h * dim, dim);
        }
    }

    /** Where the rows lie, for those who write values of this type themselves. */
    MemorySegment memory() {
        return memory;
    }
}
