package io.github.gatedattention;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** The memory of a cache: keys {@code [pages, pageRows, Hkv, D]} and values {@code [pages, pageRows, Hkv, Dv]}. */
final class CacheMemory implements AutoCloseable {
    /** The most keys that a page of a call may have. */
    private static final long MOST_PAGE_ROWS = 1 << 16;

    final DataType dataType;
    final int heads;
    final int keyDim;
    final int valueDim;
    /** Tokens that a block has room for: at least those asked for. */
    final long blockRows;
    /** Tokens per page, as the calls see it. */
    final int pageRows;
    /** Neighboring pages that are one block: more than 1 only where a block is longer than a page may be. */
    final int pagesPerBlock;
    /** Read-only views: a page may be shared. */
    final Tensor keys;

    final Tensor values;

    private final Arena arena = Arena.ofShared();
    private final MemorySegment keyMemory;
    private final MemorySegment valueMemory;

    CacheMemory(DataType dataType, int blocks, int tokens, int heads, int keyDim, int valueDim) {
        this.dataType = dataType;
        this.heads = heads;
        this.keyDim = keyDim;
        this.valueDim = valueDim;
        this.pagesPerBlock = Math.ceilDiv(tokens, (int) MOST_PAGE_ROWS);
        this.pageRows = Math.ceilDiv(tokens, pagesPerBlock);
        this.blockRows = (long) pagesPerBlock * pageRows;
        long pages = (long) blocks * pagesPerBlock;
        try {
            this.keyMemory = Tensor.allocate(arena, dataType, pages, pageRows, heads, keyDim)
                    .segment();
            this.valueMemory = Tensor.allocate(arena, dataType, pages, pageRows, heads, valueDim)
                    .segment();
        } catch (Throwable e) {
            arena.close();
            throw e;
        }
        this.keys = Tensor.of(keyMemory.asReadOnly(), dataType, pages, pageRows, heads, keyDim);
        this.values = Tensor.of(valueMemory.asReadOnly(), dataType, pages, pageRows, heads, valueDim);
    }

    /** Copies the first {@code rows} tokens of one block to another. */
    void copyBlock(int from, int to, long rows) {
        copyBlock(keyMemory, from, to, rows, keyDim);
        copyBlock(valueMemory, from, to, rows, valueDim);
    }

    private void copyBlock(MemorySegment memory, int from, int to, long rows, int dim) {
        long rowBytes = (long) heads * dim * dataType.byteSize();
        MemorySegment.copy(memory, from * blockRows * rowBytes, memory, to * blockRows * rowBytes, rows * rowBytes);
    }

    /**
     * Copies {@code rows} tokens of k and v, of their entry {@code entry} from token {@code token} on, to the block's tokens
     * from {@code at} on.
     */
    void write(Tensor k, Tensor v, long entry, long token, long rows, int block, long at) {
        long row = block * blockRows + at;
        write(k, entry, token, rows, keyMemory, row, keyDim);
        write(v, entry, token, rows, valueMemory, row, valueDim);
    }

    private void write(Tensor from, long entry, long token, long rows, MemorySegment to, long row, int dim) {
        int axis = from.rank() - 3;
        long bytes = dataType.byteSize();
        long headBytes = dim * bytes;
        long rowBytes = heads * headBytes;
        long tokenStep = from.stride(axis) * bytes;
        long headStep = from.stride(axis + 1) * bytes;
        long source = (axis == 1 ? entry * from.stride(0) * bytes : 0) + token * tokenStep;
        long target = row * rowBytes;
        boolean neighboringHeads = heads == 1 || headStep == headBytes;
        if (neighboringHeads && (rows == 1 || tokenStep == rowBytes)) {
            MemorySegment.copy(from.segment(), source, to, target, rows * rowBytes);
            return;
        }
        for (long n = 0; n < rows; n++) {
            if (neighboringHeads) {
                MemorySegment.copy(from.segment(), source + n * tokenStep, to, target + n * rowBytes, rowBytes);
                continue;
            }
            for (int h = 0; h < heads; h++) {
                MemorySegment.copy(
                        from.segment(),
                        source + n * tokenStep + h * headStep,
                        to,
                        target + n * rowBytes + h * headBytes,
                        headBytes);
            }
        }
    }

    MemorySegment keyMemory() {
        return keyMemory;
    }

    MemorySegment valueMemory() {
        return valueMemory;
    }

    /** Throws IllegalStateException, and closes nothing, while a call reads the memory. */
    @Override
    public void close() {
        arena.close();
    }
}
