package io.github.gatedattention;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The keys and values of many sequences that grow, as a serving program keeps them for one layer.
 *
 * <p>A <b>contiguous</b> cache gives every sequence an entry of fixed capacity, {@code [capacity, Hkv, D]}. A <b>paged</b>
 * cache gives it pages of a few tokens as it grows, {@code [pageSize, Hkv, D]} each, in any order; forked sequences share
 * pages until one of them writes. Both are attended to in the same way:
 *
 * {@snippet file="io/github/gatedattention/examples/ExamplesTest.java" region="cache"}
 *
 * <p>Tokens are appended in any of the types F32, BF16 and F16 and kept in the cache's. A cache of {@link DataType#I8} keeps whole
 * numbers and their {@link #scales}, which a call needs too ({@link Operands#withScales}): for each token and head, scale = max |x| / 127
 * and n = x / scale rounded to nearest, ties to even, -127 to 127, in float. A largest magnitude below 2^-119 counts as 0, with scale 0. A NaN
 * or an infinity makes the scale NaN: queries that see the token come out NaN, as they would unquantized, and no others.
 *
 * <p>A model has a cache per layer. Caches of the same kind and size in which the same is done, in the same order, give out
 * the same ids and the same pages: ids, and the {@link KvCacheBatch} of one of them, serve all layers.
 *
 * <p>The cache owns its memory until it is closed. Any thread may use it; one lock guards all methods, and an append or the
 * fork of an entry copies while it holds it. Calls of attention take no lock. While one runs, other sequences may be
 * appended to, truncated, freed and forked; the sequences that it reads may be forked, but must not be appended to, truncated
 * or freed.
 *
 * <p>What is refused leaves the cache exactly as it was.
 */
public final class KvCache implements AutoCloseable {
    private final Object lock = new Object();
    private final boolean paged;
    private final int maxLength;
    private final CacheMemory memory;
    private final CacheBlocks blocks;
    private final CacheSequences sequences = new CacheSequences();
    private final CacheAppend appender;
    private final long[] oneId = new long[1];
    private boolean closed;

    private KvCache(boolean paged, int maxLength, int blockCount, CacheMemory memory) {
        this.paged = paged;
        this.maxLength = maxLength;
        this.memory = memory;
        this.blocks = new CacheBlocks(blockCount);
        this.appender = new CacheAppend(memory, blocks, sequences, maxLength, paged);
    }

    /**
     * Starts the settings of a cache with an entry of its own for each sequence.
     *
     * @param entries how many sequences it holds at most, 1 to 2^20
     * @param capacity how many tokens a sequence has at most, 1 to 2^30
     * @return a builder with the defaults of its methods
     */
    public static Builder contiguous(int entries, int capacity) {
        return new Builder(false, entries, capacity);
    }

    /**
     * Starts the settings of a cache whose sequences take pages as they grow. It holds up to 2^20 sequences.
     *
     * @param pages how many pages there are for all sequences, at least 1; fewer than 2^31 tokens in all
     * @param pageSize tokens per page, 1 to 256
     * @return a builder with the defaults of its methods
     */
    public static Builder paged(int pages, int pageSize) {
        return new Builder(true, pages, pageSize);
    }

    /**
     * Adds a sequence without tokens. Of a contiguous cache it takes an entry, of a paged one nothing yet.
     *
     * @return its id, positive; no other sequence of this cache ever has it
     * @throws CacheFullException when all entries are in use
     * @throws IllegalStateException when this cache is closed
     */
    public long allocate() {
        synchronized (lock) {
            checkOpen();
            return add().id;
        }
    }

    /**
     * Copies new tokens to the end of a sequence.
     *
     * @param id the sequence
     * @param k keys {@code [n, Hkv, D]} or {@code [1, n, Hkv, D]}, F32, BF16 or F16, rounded to the cache's type, n at least 0; the
     *     last axis is contiguous, the others have any stride
     * @param v values {@code [n, Hkv, Dv]} or {@code [1, n, Hkv, Dv]}, likewise
     * @throws IllegalArgumentException when there is no such sequence, or a tensor does not fit the cache or the other
     * @throws CacheFullException when there are too few free pages, or the sequence would be longer than
     *     {@link #maxLength}
     * @throws IllegalStateException when this cache or the arena of a tensor is closed
     * @throws WrongThreadException when the arena of a tensor is confined to another thread
     */
    public void append(long id, Tensor k, Tensor v) {
        requireTensors(k, v);
        synchronized (lock) {
            checkOpen();
            CacheCheck.one(memory, k, v);
            oneId[0] = id;
            appender.run("id", oneId, null, k, v);
        }
    }

    /**
     * Copies as many new tokens to the end of each of several sequences, to all or to none: a step of a batch. Sequences that
     * share a partly filled page need a page each.
     *
     * @param ids the sequences, each once
     * @param k keys {@code [B, n, Hkv, D]}, B as many as there are ids
     * @param v values {@code [B, n, Hkv, Dv]}
     * @throws IllegalArgumentException when there is no such sequence, an id comes twice, or a tensor does not fit the cache,
     *     the ids or the other tensor
     * @throws CacheFullException when there are too few free pages for all, or a sequence would be longer than
     *     {@link #maxLength}
     * @throws IllegalStateException when this cache or the arena of a tensor is closed
     * @throws WrongThreadException when the arena of a tensor is confined to another thread
     */
    public void append(long[] ids, Tensor k, Tensor v) {
        Objects.requireNonNull(ids, "ids is null");
        requireTensors(k, v);
        synchronized (lock) {
            checkOpen();
            CacheCheck.batch(memory, ids.length, k, v);
            appender.run(null, ids, null, k, v);
        }
    }

    /**
     * Copies new tokens, packed without gaps, to the end of each of several sequences, to all or to none: a step in which some
     * sequences prefill and others decode. Sequences that share a partly filled page need a page each.
     *
     * @param ids the sequences, each once
     * @param counts how many tokens each gets, at least 0
     * @param k keys {@code [n, Hkv, D]} or {@code [1, n, Hkv, D]}, n the sum of the counts
     * @param v values {@code [n, Hkv, Dv]} or {@code [1, n, Hkv, Dv]}
     * @throws IllegalArgumentException when there is no such sequence, an id comes twice, the counts do not fit, or a tensor
     *     does not fit the cache or the other tensor
     * @throws CacheFullException when there are too few free pages for all, or a sequence would be longer than
     *     {@link #maxLength}
     * @throws IllegalStateException when this cache or the arena of a tensor is closed
     * @throws WrongThreadException when the arena of a tensor is confined to another thread
     */
    public void append(long[] ids, int[] counts, Tensor k, Tensor v) {
        Objects.requireNonNull(ids, "ids is null");
        Objects.requireNonNull(counts, "counts is null");
        requireTensors(k, v);
        synchronized (lock) {
            checkOpen();
            CacheCheck.one(memory, k, v);
            appender.run(null, ids, counts, k, v);
        }
    }

    /** Appends as many tokens to each sequence, to all or to none; the writer writes them. */
    void append(long[] ids, int tokens, CacheAppend.Writer writer) {
        synchronized (lock) {
            checkOpen();
            appender.run(ids, tokens, writer);
        }
    }

    CacheMemory memory() {
        return memory;
    }

    /**
     * Adds a sequence with the tokens of another. In a paged cache both share all pages, and the first that appends to a
     * partly filled one gets a copy of it; in a contiguous one the new sequence takes an entry and the tokens are copied.
     *
     * @param id the sequence to begin like
     * @return the new sequence's id
     * @throws IllegalArgumentException when there is no such sequence
     * @throws CacheFullException when all entries are in use
     * @throws IllegalStateException when this cache is closed
     */
    public long fork(long id) {
        synchronized (lock) {
            checkOpen();
            CachedSequence from = find(id);
            CachedSequence to = add();
            if (paged) {
                to.reserve(from.blockCount);
                for (int n = 0; n < from.blockCount; n++) {
                    blocks.share(from.blocks[n]);
                    to.addBlock(from.blocks[n]);
                }
            } else {
                memory.copyBlock(from.blocks[0], to.blocks[0], from.length);
            }
            to.length = from.length;
            return to.id;
        }
    }

    /**
     * Drops the last tokens of a sequence, for example those of a draft that were not accepted, and frees the pages that it
     * alone used for them.
     *
     * @param id the sequence
     * @param length how many tokens it keeps, 0 to its length
     * @throws IllegalArgumentException when there is no such sequence or the length is out of range
     * @throws IllegalStateException when this cache is closed
     */
    public void truncate(long id, int length) {
        synchronized (lock) {
            checkOpen();
            CachedSequence sequence = find(id);
            if (length < 0 || length > sequence.length) {
                throw new IllegalArgumentException("length is " + length + ", but sequence " + id + " has 0 to "
                        + sequence.length + " tokens to keep");
            }
            sequence.length = length;
            if (paged) {
                releaseBlocks(sequence, Math.ceilDiv(length, memory.pageRows));
            }
        }
    }

    /**
     * Ends a sequence; its entry, and the pages that it alone used, are free.
     *
     * @param id the sequence; it is unknown from here on
     * @throws IllegalArgumentException when there is no such sequence, for example because it was freed
     * @throws IllegalStateException when this cache is closed
     */
    public void free(long id) {
        synchronized (lock) {
            checkOpen();
            CachedSequence sequence = find(id);
            releaseBlocks(sequence, 0);
            sequences.remove(sequence);
        }
    }

    /**
     * Returns how many tokens a sequence has.
     *
     * @param id the sequence
     * @return 0 to {@link #maxLength}
     * @throws IllegalArgumentException when there is no such sequence
     * @throws IllegalStateException when this cache is closed
     */
    public int length(long id) {
        synchronized (lock) {
            checkOpen();
            return find(id).length;
        }
    }

    /**
     * Returns how many tokens a sequence can have at most.
     *
     * @return the capacity of an entry; of a paged cache, the tokens of all pages
     */
    public int maxLength() {
        return maxLength;
    }

    /**
     * Returns how many pages no sequence uses; a contiguous cache counts its entries.
     *
     * @return a number of pages
     * @throws IllegalStateException when this cache is closed
     */
    public int freePages() {
        synchronized (lock) {
            checkOpen();
            return blocks.freeCount();
        }
    }

    /**
     * Returns how many pages sequences use, shared ones counted once; a contiguous cache counts its entries.
     *
     * @return a number of pages
     * @throws IllegalStateException when this cache is closed
     */
    public int pagesInUse() {
        synchronized (lock) {
            checkOpen();
            return blocks.count() - blocks.freeCount();
        }
    }

    /**
     * Returns how many sequences there are.
     *
     * @return allocated and forked ones that are not freed
     * @throws IllegalStateException when this cache is closed
     */
    public int sequenceCount() {
        synchronized (lock) {
            checkOpen();
            return sequences.count();
        }
    }

    /**
     * Returns the keys of all sequences, for {@link Operands}: always the same read-only view.
     *
     * @return {@code [pages, pageSize, Hkv, D]}; of a contiguous cache {@code [entries, capacity, Hkv, D]}, or several
     *     neighboring pages per entry where the capacity is over 65,536
     */
    public Tensor keys() {
        return memory.keys;
    }

    /**
     * Returns the values of all sequences, for {@link Operands}: always the same read-only view.
     *
     * @return {@code [pages, pageSize, Hkv, Dv]}, with the pages of {@link #keys}
     */
    public Tensor values() {
        return memory.values;
    }

    /**
     * Returns what the whole numbers of an I8 cache are multiplied by, for {@link Operands#withScales}: always the same object.
     *
     * @return read-only views {@code [pages, pageSize, Hkv]}, with the pages of {@link #keys}; null unless the cache is I8
     */
    public @Nullable Scales scales() {
        return memory.scales;
    }

    /**
     * Says where these sequences lie now, for one call or a few. A program that decodes makes a {@link #batch} once instead,
     * whose rules this follows.
     *
     * @param ids the sequences, at least 1
     * @return a block table and key lengths, in the order of the ids
     * @throws IllegalArgumentException when there is no id, or no such sequence
     * @throws IllegalStateException when this cache is closed
     */
    public Sequences sequences(long... ids) {
        Objects.requireNonNull(ids, "ids is null");
        if (ids.length == 0) {
            throw new IllegalArgumentException("ids has 0 elements, but must have at least 1");
        }
        synchronized (lock) {
            checkOpen();
            int most = 1;
            for (int n = 0; n < ids.length; n++) {
                CachedSequence sequence = sequences.find(ids[n]);
                if (sequence == null) {
                    throw unknown("ids[" + n + "]", ids[n]);
                }
                most = Math.max(most, sequence.length);
            }
            KvCacheBatch batch = batch(ids.length, most);
            batch.fill(sequences, memory, ids);
            return batch.sequences();
        }
    }

    /**
     * Makes a batch that is filled anew for each step. Native calls copy its whole block table first, so
     * {@code size * mostKeys / pageSize} should not be far more than is used.
     *
     * @param size how many sequences it has room for, 1 to 2^20: the batch of q
     * @param mostKeys how many keys a sequence in it may have, 1 to {@link #maxLength}
     * @return a batch in which no entry has keys yet
     * @throws IllegalArgumentException when a number is out of range
     * @throws IllegalStateException when this cache is closed
     */
    public KvCacheBatch batch(int size, int mostKeys) {
        checkRange("size", size, CacheSequences.MOST);
        checkRange("mostKeys", mostKeys, maxLength);
        int columns = Math.ceilDiv(mostKeys, memory.pageRows);
        if ((long) size * columns > SequenceTable.MOST_PAGES) {
            throw new IllegalArgumentException("size is " + size + " and mostKeys is " + mostKeys + ", "
                    + (long) size * columns + " pages in all, but a call takes at most " + SequenceTable.MOST_PAGES);
        }
        synchronized (lock) {
            checkOpen();
            return new KvCacheBatch(this, size, mostKeys, columns);
        }
    }

    void fill(KvCacheBatch batch, long[] ids) {
        synchronized (lock) {
            checkOpen();
            batch.fill(sequences, memory, ids);
        }
    }

    /**
     * Gives back the memory; everything but closing again throws from here on, calls with {@link #keys} too.
     *
     * @throws IllegalStateException when a native call reads the cache; it stays open
     */
    @Override
    public void close() {
        synchronized (lock) {
            if (!closed) {
                memory.close();
                closed = true;
            }
        }
    }

    static IllegalArgumentException unknown(String name, long id) {
        return new IllegalArgumentException(
                name + " is " + id + ", but the cache has no such sequence: it was freed, or never allocated");
    }

    private CachedSequence find(long id) {
        CachedSequence sequence = sequences.find(id);
        if (sequence == null) {
            throw unknown("id", id);
        }
        return sequence;
    }

    private CachedSequence add() {
        if (!paged && blocks.freeCount() == 0) {
            throw new CacheFullException("all " + blocks.count() + " entries are in use, but a sequence needs 1");
        }
        if (sequences.count() == CacheSequences.MOST) {
            throw new CacheFullException(
                    "there are " + sequences.count() + " sequences, but a cache holds at most " + CacheSequences.MOST);
        }
        CachedSequence sequence = sequences.add();
        if (!paged) {
            sequence.addBlock(blocks.take());
        }
        return sequence;
    }

    private void releaseBlocks(CachedSequence sequence, int kept) {
        while (sequence.blockCount > kept) {
            blocks.release(sequence.blocks[--sequence.blockCount]);
            sequence.edits++;
        }
    }

    private void checkOpen() {
        if (closed) {
            throw new IllegalStateException("this KvCache is closed");
        }
    }

    private static void requireTensors(@Nullable Tensor k, @Nullable Tensor v) {
        Objects.requireNonNull(k, "k is null");
        Objects.requireNonNull(v, "v is null");
    }

    private static void checkRange(String name, int value, int most) {
        if (value < 1 || value > most) {
            throw new IllegalArgumentException(name + " is " + value + ", but must be 1 to " + most);
        }
    }

    @Override
    public String toString() {
        return "KvCache[" + (paged ? "paged" : "contiguous") + ", keys " + memory.keys + ", values " + memory.values
                + "]";
    }

    /** The settings of a {@link KvCache}. {@link #keyValueHeads} and {@link #headDim} have no default. */
    public static final class Builder {
        private static final int MAX_CAPACITY = 1 << 30;
        private static final int MAX_PAGE_SIZE = 256;

        private final boolean paged;
        private final int blocks;
        private final int tokens;
        private int keyValueHeads;
        private int headDim;
        private int valueHeadDim;
        private boolean valueHeadDimGiven;
        private DataType dataType = DataType.F32;

        private Builder(boolean paged, int blocks, int tokens) {
            this.paged = paged;
            this.blocks = blocks;
            this.tokens = tokens;
        }

        /**
         * Sets the number of key/value heads, Hkv.
         *
         * @param heads at least 1
         * @return this
         */
        public Builder keyValueHeads(int heads) {
            keyValueHeads = heads;
            return this;
        }

        /**
         * Sets the head dimension of keys, D.
         *
         * @param dim a multiple of 8, 8 to 512
         * @return this
         */
        public Builder headDim(int dim) {
            headDim = dim;
            return this;
        }

        /**
         * Sets the head dimension of values, Dv. The default is {@link #headDim}.
         *
         * @param dim a multiple of 8, 8 to 512
         * @return this
         */
        public Builder valueHeadDim(int dim) {
            valueHeadDim = dim;
            valueHeadDimGiven = true;
            return this;
        }

        /**
         * Sets the type of keys and values. The default is {@link DataType#F32}.
         *
         * @param type F32, BF16, F16 or I8
         * @return this
         */
        public Builder dataType(DataType type) {
            dataType = Objects.requireNonNull(type, "dataType is null");
            return this;
        }

        /**
         * Checks the settings and takes the memory: {@code pages * pageSize} (or {@code entries * capacity}) times
         * {@code Hkv * (D + Dv)} elements, and of I8 {@code 2 * Hkv} scales.
         *
         * @return an empty cache to be closed by the caller
         * @throws IllegalArgumentException when a value is outside its range
         * @throws OutOfMemoryError when there is not so much memory
         */
        public KvCache build() {
            if (paged) {
                checkRange("pages", blocks, Integer.MAX_VALUE);
                checkRange("pageSize", tokens, MAX_PAGE_SIZE);
                if ((long) blocks * tokens > Integer.MAX_VALUE) {
                    throw new IllegalArgumentException("pages is " + blocks + " and pageSize is " + tokens + ", "
                            + (long) blocks * tokens + " tokens in all, but a cache has at most " + Integer.MAX_VALUE);
                }
            } else {
                checkRange("entries", blocks, CacheSequences.MOST);
                checkRange("capacity", tokens, MAX_CAPACITY);
            }
            BuilderCheck.heads("keyValueHeads", keyValueHeads);
            int valueDim = valueHeadDimGiven ? valueHeadDim : headDim;
            BuilderCheck.dims(headDim, valueDim);
            if (!dataType.isFloating() && dataType != DataType.I8) {
                throw new IllegalArgumentException("dataType is " + dataType + ", but must be F32, BF16, F16 or I8");
            }
            CacheMemory memory = new CacheMemory(dataType, blocks, tokens, keyValueHeads, headDim, valueDim);
            return new KvCache(paged, paged ? blocks * tokens : tokens, blocks, memory);
        }
    }
}
