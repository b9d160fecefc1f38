package io.github.gatedattention;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * The memory of a cache: keys {@code [pages, pageRows, Hkv, D]} and values {@code [pages, pageRows, Hkv, Dv]}; where these are
 * I8, scales {@code [pages, pageRows, Hkv]} of both.
 */
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
    /** Of I8, likewise. */
    final @Nullable Scales scales;

    private final Arena arena = Arena.ofShared();
    private final RowStore keyRows;
    private final RowStore valueRows;

    CacheMemory(DataType dataType, int blocks, int tokens, int heads, int keyDim, int valueDim) {
        this.dataType = dataType;
        this.heads = heads;
        this.keyDim = keyDim;
        this.valueDim = valueDim;
        this.pagesPerBlock = Math.ceilDiv(tokens, (int) MOST_PAGE_ROWS);
        this.pageRows = Math.ceilDiv(tokens, pagesPerBlock);
        this.blockRows = (long) pagesPerBlock * pageRows;
        long pages = (long) blocks * pagesPerBlock;
        boolean scaled = dataType == DataType.I8;
        try {
            MemorySegment keyMemory = allocate(dataType, pages, keyDim);
            MemorySegment valueMemory = allocate(dataType, pages, valueDim);
            MemorySegment keyScales = scaled ? allocate(DataType.F32, pages, 1) : MemorySegment.NULL;
            MemorySegment valueScales = scaled ? allocate(DataType.F32, pages, 1) : MemorySegment.NULL;
            this.keys = Tensor.of(keyMemory.asReadOnly(), dataType, pages, pageRows, heads, keyDim);
            this.values = Tensor.of(valueMemory.asReadOnly(), dataType, pages, pageRows, heads, valueDim);
            this.scales = scaled
                    ? new Scales(
                            Tensor.of(keyScales.asReadOnly(), DataType.F32, pages, pageRows, heads),
                            Tensor.of(valueScales.asReadOnly(), DataType.F32, pages, pageRows, heads))
                    : null;
            this.keyRows = new RowStore(dataType, heads, keyDim, keyMemory, keyScales);
            this.valueRows = new RowStore(dataType, heads, valueDim, valueMemory, valueScales);
        } catch (Throwable e) {
            arena.close();
            throw e;
        }
    }

    private MemorySegment allocate(DataType type, long pages, int dim) {
        return Tensor.allocate(arena, type, pages, pageRows, heads, dim).segment();
    }

    /** Copies the first {@code rows} tokens of one block to another. */
    void copyBlock(int from, int to, long rows) {
        keyRows.copy(from * blockRows, to * blockRows, rows);
        valueRows.copy(from * blockRows, to * blockRows, rows);
    }

    /**
     * Copies {@code rows} tokens of k and v, of their entry {@code entry} from token {@code token} on, to the block's tokens
     * from {@code at} on, in the cache's type.
     */
    void write(Tensor k, Tensor v, long entry, long token, long rows, int block, long at) {
        long row = block * blockRows + at;
        keyRows.write(k, entry, token, rows, row);
        valueRows.write(v, entry, token, rows, row);
    }

    /** Whether a tensor lies in this memory. */
    boolean overlaps(Tensor tensor) {
        return Overlap.exists(tensor, keys)
                || Overlap.exists(tensor, values)
                || (scales != null
                        && (Overlap.exists(tensor, scales.keys()) || Overlap.exists(tensor, scales.values())));
    }

    MemorySegment keyMemory() {
        return keyRows.memory();
    }

    MemorySegment valueMemory() {
        return valueRows.memory();
    }

    /** Throws IllegalStateException, and closes nothing, while a call reads the memory. */
    @Override
    public void close() {
        arena.close();
    }
}
