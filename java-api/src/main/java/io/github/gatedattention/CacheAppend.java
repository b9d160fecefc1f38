package io.github.gatedattention;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Appends to one or several sequences of a cache, to all or to none.
 *
 * <p>Blocks are taken first, then tokens are written behind the lengths, where nobody reads, and only then do the lengths
 * grow. So a source that cannot be read halfway, because its arena is closed, leaves nothing behind.
 */
final class CacheAppend {
    private final CacheMemory memory;
    private final CacheBlocks blocks;
    private final CacheSequences sequences;
    private final int maxLength;
    private final boolean paged;
    private CachedSequence[] targets = new CachedSequence[1];
    private int[] counts = new int[1];
    private long round;

    CacheAppend(CacheMemory memory, CacheBlocks blocks, CacheSequences sequences, int maxLength, boolean paged) {
        this.memory = memory;
        this.blocks = blocks;
        this.sequences = sequences;
        this.maxLength = maxLength;
        this.paged = paged;
    }

    /**
     * Appends the tokens of checked tensors.
     *
     * @param idName for messages: what {@code ids[0]} is called when it is the only one; null: ids
     * @param packed counts of tokens that follow one another on the token axis; null: all of entry n for sequence n
     */
    void run(@Nullable String idName, long[] ids, int @Nullable [] packed, Tensor k, Tensor v) {
        find(idName, ids);
        loadCounts(packed, ids.length, k);
        append(ids.length, null, packed != null, k, v);
    }

    /** Appends as many tokens to each sequence, which somebody else writes. */
    void run(long[] ids, int tokens, Writer writer) {
        find(null, ids);
        Arrays.fill(counts, 0, ids.length, tokens);
        append(ids.length, writer, false, null, null);
    }

    /** Writes tokens behind the lengths of sequences that have room for them. */
    interface Writer {
        /** Of the first sequences, in the order of the ids. */
        void write(CachedSequence[] sequences, CacheMemory memory);
    }

    private void append(int n, @Nullable Writer writer, boolean packed, @Nullable Tensor k, @Nullable Tensor v) {
        checkRoom(n);
        int staged = 0;
        try {
            while (staged < n) {
                stage(targets[staged], counts[staged++]);
            }
            if (writer != null) {
                writer.write(targets, memory);
            }
            long token = 0;
            for (int i = 0; k != null && v != null && i < n; i++) {
                write(targets[i], counts[i], k, v, packed ? 0 : i, token);
                token += packed ? counts[i] : 0;
            }
        } catch (Throwable e) {
            while (staged > 0) {
                rollBack(targets[--staged]);
            }
            throw e;
        }
        for (int i = 0; i < n; i++) {
            commit(targets[i], counts[i]);
        }
    }

    private void find(@Nullable String idName, long[] ids) {
        if (targets.length < ids.length) {
            targets = Arrays.copyOf(targets, ids.length);
            counts = new int[ids.length];
        }
        round++;
        for (int i = 0; i < ids.length; i++) {
            CachedSequence sequence = sequences.find(ids[i]);
            if (sequence == null) {
                throw KvCache.unknown(idName == null ? "ids[" + i + "]" : idName, ids[i]);
            }
            if (sequence.round == round) {
                throw new IllegalArgumentException("ids[" + i + "] is " + ids[i]
                        + ", which is among the ids before it, but one append can grow a sequence once");
            }
            sequence.round = round;
            targets[i] = sequence;
        }
    }

    /** Copies the counts before they are checked: the caller's array may change meanwhile. */
    private void loadCounts(int @Nullable [] packed, int n, Tensor k) {
        if (packed == null) {
            Arrays.fill(counts, 0, n, (int) Math.min(Integer.MAX_VALUE, k.dim(k.rank() - 3)));
            return;
        }
        if (packed.length != n) {
            throw new IllegalArgumentException("counts has " + packed.length + " elements, but ids has " + n);
        }
        System.arraycopy(packed, 0, counts, 0, n);
        CacheCheck.counts(counts, n, k);
    }

    /** Refuses what would not fit, before anything is taken. */
    private void checkRoom(int n) {
        long needed = 0;
        for (int i = 0; i < n; i++) {
            CachedSequence sequence = targets[i];
            long length = (long) sequence.length + counts[i];
            if (length > maxLength) {
                throw new CacheFullException("sequence " + sequence.id + " would have " + length
                        + " tokens, but in this cache a sequence has at most " + maxLength);
            }
            if (paged) {
                needed += Math.ceilDiv(length, memory.blockRows) - sequence.blockCount;
                needed += mustCopyLastBlock(sequence, counts[i]) ? 1 : 0;
            }
        }
        if (needed > blocks.freeCount()) {
            throw new CacheFullException("append needs " + needed + " pages, but " + blocks.freeCount() + " of "
                    + blocks.count() + " are free");
        }
    }

    private boolean mustCopyLastBlock(CachedSequence sequence, int count) {
        return count > 0 && sequence.length % memory.blockRows != 0 && blocks.isShared(sequence.lastBlock());
    }

    private void stage(CachedSequence sequence, int count) {
        long blockCount = paged ? Math.ceilDiv((long) sequence.length + count, memory.blockRows) : 1;
        sequence.reserve(blockCount);
        if (mustCopyLastBlock(sequence, count)) {
            int shared = sequence.lastBlock();
            int copy = blocks.take();
            memory.copyBlock(shared, copy, sequence.length % memory.blockRows);
            sequence.blocks[sequence.blockCount - 1] = copy;
            sequence.displaced = shared;
        }
        while (sequence.blockCount < blockCount) {
            sequence.addBlock(blocks.take());
        }
    }

    private void write(CachedSequence sequence, int count, Tensor k, Tensor v, long entry, long token) {
        long position = sequence.length;
        long left = count;
        long next = token;
        while (left > 0) {
            long at = position % memory.blockRows;
            long rows = Math.min(left, memory.blockRows - at);
            memory.write(k, v, entry, next, rows, sequence.blocks[(int) (position / memory.blockRows)], at);
            position += rows;
            next += rows;
            left -= rows;
        }
    }

    private void commit(CachedSequence sequence, int count) {
        sequence.length += count;
        if (sequence.displaced != CachedSequence.NONE) {
            blocks.release(sequence.displaced);
            sequence.displaced = CachedSequence.NONE;
            sequence.edits++;
        }
    }

    private void rollBack(CachedSequence sequence) {
        long kept = paged ? Math.ceilDiv(sequence.length, memory.blockRows) : 1;
        while (sequence.blockCount > kept) {
            blocks.release(sequence.blocks[--sequence.blockCount]);
        }
        if (sequence.displaced != CachedSequence.NONE) {
            blocks.release(sequence.lastBlock());
            sequence.blocks[sequence.blockCount - 1] = sequence.displaced;
            sequence.displaced = CachedSequence.NONE;
        }
    }
}
