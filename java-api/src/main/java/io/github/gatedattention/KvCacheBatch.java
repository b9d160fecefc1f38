package io.github.gatedattention;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Objects;

/**
 * The sequences of a {@link KvCache} that one call attends to, made once and filled anew for each step.
 *
 * <p>Its tensors stay the same objects at the same place, so a call with them is checked once and a
 * {@link PreparedForward} can hold them; {@link #refresh} writes what they say. A refresh in which every sequence grew by
 * one token writes one length per sequence, and a page now and then. It allocates nothing.
 *
 * <p>The tables say what was true at the last refresh. Until the calls with them are done, the batch's sequences must not be
 * appended to, truncated or freed; other sequences may be. A batch is for one thread at a time. Nothing needs to be closed.
 */
public final class KvCacheBatch {
    private static final int NO_SEQUENCE = 0;

    private final KvCache cache;
    private final int mostKeys;
    private final Tensor blockTable;
    private final Tensor keyLengths;
    private final Sequences sequences;
    /** What each row of the table was last filled from, to write only what changed since. */
    private final long[] rowIds;

    private final int[] rowEdits;
    private final int[] rowPages;

    KvCacheBatch(KvCache cache, int size, int mostKeys, int columns) {
        this.cache = cache;
        this.mostKeys = mostKeys;
        // The collector's own arena: it takes part in a call without the two atomic operations that a shared one costs.
        Arena arena = Arena.ofAuto();
        this.blockTable = Tensor.allocate(arena, DataType.I32, size, columns);
        this.keyLengths = Tensor.allocate(arena, DataType.I32, size);
        this.sequences = Sequences.paged(blockTable, keyLengths);
        this.rowIds = new long[size];
        this.rowEdits = new int[size];
        this.rowPages = new int[size];
    }

    /**
     * Returns what to give to {@link Operands}: always the same object. Queries packed in one batch entry are added with
     * {@link Sequences#withPackedQueries}.
     *
     * @return a block table {@code [size, pages]} and key lengths {@code [size]}
     */
    public Sequences sequences() {
        return sequences;
    }

    /**
     * Returns how many sequences the tables have room for: the batch of q.
     *
     * @return at least 1
     */
    public int size() {
        return rowIds.length;
    }

    /**
     * Returns how many keys a sequence of this batch may have.
     *
     * @return at least 1
     */
    public int mostKeys() {
        return mostKeys;
    }

    /**
     * Fills the tables with these sequences as they are now, in this order; the same one may come several times. Where there
     * are fewer than {@link #size}, the entries left have no keys, and a call writes their rows as rows that see no key.
     * When it throws, the tables are as they were.
     *
     * @param ids the sequences
     * @throws IllegalArgumentException when there are more than {@link #size}, one is not in the cache, or one has more than
     *     {@link #mostKeys} keys
     * @throws IllegalStateException when the cache is closed
     */
    public void refresh(long... ids) {
        Objects.requireNonNull(ids, "ids is null");
        if (ids.length > rowIds.length) {
            throw new IllegalArgumentException(
                    "ids has " + ids.length + " elements, but the batch has room for " + rowIds.length);
        }
        cache.fill(this, ids);
    }

    /** Writes the tables; the caller holds the cache's lock. */
    void fill(CacheSequences living, CacheMemory memory, long[] ids) {
        for (int row = 0; row < ids.length; row++) {
            CachedSequence sequence = living.find(ids[row]);
            if (sequence == null) {
                throw KvCache.unknown("ids[" + row + "]", ids[row]);
            }
            if (sequence.length > mostKeys) {
                throw new IllegalArgumentException("sequence " + ids[row] + " has " + sequence.length
                        + " keys, but in this batch a sequence has at most " + mostKeys);
            }
        }
        MemorySegment lengths = keyLengths.segment();
        for (int row = 0; row < rowIds.length; row++) {
            CachedSequence sequence = row < ids.length ? living.find(ids[row]) : null;
            if (sequence == null) {
                rowIds[row] = NO_SEQUENCE;
                lengths.setAtIndex(ValueLayout.JAVA_INT, row, 0);
            } else {
                fillRow(row, sequence, memory);
                lengths.setAtIndex(ValueLayout.JAVA_INT, row, sequence.length);
            }
        }
    }

    private void fillRow(int row, CachedSequence sequence, CacheMemory memory) {
        boolean known = rowIds[row] == sequence.id && rowEdits[row] == sequence.edits;
        int from = known ? rowPages[row] : 0;
        int to = Math.ceilDiv(sequence.length, memory.pageRows);
        int perBlock = memory.pagesPerBlock;
        long first = (long) row * blockTable.dim(1);
        MemorySegment table = blockTable.segment();
        for (int page = from; page < to; page++) {
            int number = sequence.blocks[page / perBlock] * perBlock + page % perBlock;
            table.setAtIndex(ValueLayout.JAVA_INT, first + page, number);
        }
        rowIds[row] = sequence.id;
        rowEdits[row] = sequence.edits;
        rowPages[row] = Math.max(from, to);
    }

    @Override
    public String toString() {
        return "KvCacheBatch[size=" + size() + ", mostKeys=" + mostKeys + ", " + cache + "]";
    }
}
