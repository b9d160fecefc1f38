package io.github.gatedattention;

import java.util.Objects;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import org.jspecify.annotations.Nullable;

/**
 * One call on vectors: its operands, how it is cut into tasks, and its memory, which is kept for later calls.
 *
 * <p>A part, one key/value head of one sequence, is done by itself, in tasks that follow from its shape alone: so its
 * bits depend neither on threads nor on the rest of the batch. As many parts go together as have room in {@link #ROOM}
 * floats; each has a place there.
 */
final class VectorCall implements HelperThreads.Job {
    /** Floats of packed keys and values, or of partial results, in memory at a time: 64 MiB, or one part's. */
    private static final long ROOM = 16 << 20;

    /** What fits in an array on any JVM. */
    private static final long MOST_FLOATS = Integer.MAX_VALUE - 64;

    /** What the tasks do. */
    private enum Phase {
        PACK,
        ATTEND,
        DECODE,
        MERGE
    }

    private final @Nullable VectorRows[] scratch;
    private final AtomicInteger entered = new AtomicInteger();
    private final AtomicLong next = new AtomicLong();
    private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();

    // The operands, while the call runs.
    private @Nullable Settings settings;
    private @Nullable Tensor q;
    private @Nullable Tensor k;
    private @Nullable Tensor v;
    private @Nullable Tensor gate;
    private @Nullable Tensor out;
    private @Nullable Tensor normWeight;
    private @Nullable Tensor lse;
    private @Nullable Tensor sink;

    // The cut.
    private Phase phase = Phase.PACK;
    private long tasks;
    private long firstPart;
    private int places;
    private int blocks; // per place: of 64 keys, or chunks of keys
    private long rowsPerHead;
    private long queries;
    private int partialSize;

    // Memory, as large as any call needed so far.
    private long[] lengths = {};
    private long[] firstSeen = {}; // per sequence, the first key that any query sees
    private int[] seen = {}; // and how many from there to the last
    private float[] packedKeys = {};
    private float[] packedValues = {};
    private float[] partials = {};
    private boolean[] unusual = {};

    VectorCall(int threads) {
        scratch = new @Nullable VectorRows[threads];
    }

    /** Whether the packed keys of one part fit into an array. */
    static boolean fits(Settings settings, long keys) {
        long dim = Math.max(settings.headDim(), VectorRows.valueDim(settings));
        return keys <= (MOST_FLOATS - VectorRows.KEYS * dim) / dim;
    }

    static boolean isDecode(Settings settings, long queries) {
        return queries <= VectorDecode.ROWS / settings.group();
    }

    /** Computes; the operands were checked, and {@link #fits} holds. */
    void run(
            Settings newSettings,
            Tensor newQ,
            Tensor newK,
            Tensor newV,
            @Nullable Tensor newGate,
            Tensor newOut,
            @Nullable Tensor newNormWeight,
            @Nullable Tensor keyLengths,
            @Nullable Tensor newLse,
            @Nullable Tensor newSink,
            HelperThreads helpers,
            boolean help) {
        settings = newSettings;
        q = newQ;
        k = newK;
        v = newV;
        gate = newGate;
        out = newOut;
        normWeight = newNormWeight;
        lse = newLse;
        sink = newSink;
        try {
            int batch = Math.toIntExact(newQ.dim(0));
            queries = newQ.dim(1);
            rowsPerHead = queries * newSettings.group();
            int most = readLengths(newSettings, keyLengths, batch, queries, newK.dim(1));
            long parts = (long) batch * newSettings.keyValueHeads();
            if (parts == 0 || rowsPerHead == 0) {
                return;
            }
            failure.set(null);
            if (isDecode(newSettings, queries)) {
                decode(newSettings, parts, most, helpers, help);
            } else {
                prefill(newSettings, parts, most, helpers, help);
            }
        } finally {
            settings = null;
            q = null;
            k = null;
            v = null;
            gate = null;
            out = null;
            normWeight = null;
            lse = null;
            sink = null;
        }
    }

    /**
     * How a call is cut.
     *
     * @param queryBlock packed rows per task
     * @param tasks units of work, preparation and merging aside
     * @param bytes memory that threads share
     */
    record Cut(int queryBlock, long tasks, long bytes) {}

    static Cut cut(Settings s, Operands o) {
        long queries = o.q().dim(1);
        long rows = queries * s.group();
        long parts = o.q().dim(0) * s.keyValueHeads();
        int most = new VectorCall(1).readLengths(s, o.keyLengths(), (int) o.q().dim(0), queries, o.k().dim(1));
        if (isDecode(s, queries)) {
            int chunks = VectorDecode.mostChunks(most);
            long floats = chunks * rows * VectorDecode.partialSize(s);
            return new Cut((int) rows, parts * chunks, together(parts, floats, floats) * floats * Float.BYTES);
        }
        int blocks = Math.ceilDiv(most, VectorRows.KEYS);
        long keys = blocks * VectorPrefill.packedKeys(s);
        long values = blocks * VectorPrefill.packedValues(s);
        long bytes = together(parts, keys + values, Math.max(keys, values)) * (keys + values) * Float.BYTES;
        return new Cut(VectorRows.ROWS, parts * Math.ceilDiv(rows, (long) VectorRows.ROWS), bytes);
    }

    /** Reads each length once, for it may change meanwhile; returns the largest number of keys that are seen. */
    private int readLengths(Settings s, @Nullable Tensor keyLengths, int batch, long seqQ, long seqK) {
        if (lengths.length < batch) {
            lengths = new long[batch];
            firstSeen = new long[batch];
            seen = new int[batch];
        }
        KeyLengths.read(keyLengths, lengths, batch, seqK);
        int most = 0;
        for (int b = 0; b < batch; b++) {
            long length = lengths[b];
            long first = Math.clamp(s.mask().firstKey(0, seqQ, length), 0, length);
            long end = Math.clamp(s.mask().endKey(seqQ - 1, seqQ, length), first, length);
            firstSeen[b] = first;
            seen[b] = (int) (end - first);
            most = Math.max(most, seen[b]);
        }
        return most;
    }

    private void prefill(Settings s, long parts, int most, HelperThreads helpers, boolean help) {
        blocks = Math.ceilDiv(most, VectorRows.KEYS);
        long keys = blocks * VectorPrefill.packedKeys(s);
        long values = blocks * VectorPrefill.packedValues(s);
        int together = together(parts, keys + values, Math.max(keys, values));
        packedKeys = VectorRows.atLeast(packedKeys, (int) (together * keys));
        packedValues = VectorRows.atLeast(packedValues, (int) (together * values));
        if (unusual.length < together * blocks) {
            unusual = new boolean[together * blocks];
        }
        long rowBlocks = Math.ceilDiv(rowsPerHead, (long) VectorRows.ROWS);
        for (firstPart = 0; firstPart < parts; firstPart += together) {
            places = (int) Math.min(together, parts - firstPart);
            run(Phase.PACK, (long) places * blocks, helpers, help);
            run(Phase.ATTEND, places * rowBlocks, helpers, help);
        }
    }

    private void decode(Settings s, long parts, int most, HelperThreads helpers, boolean help) {
        blocks = VectorDecode.mostChunks(most);
        partialSize = VectorDecode.partialSize(s);
        long floats = blocks * rowsPerHead * partialSize;
        int together = together(parts, floats, floats);
        partials = VectorRows.atLeast(partials, (int) (together * floats));
        for (firstPart = 0; firstPart < parts; firstPart += together) {
            places = (int) Math.min(together, parts - firstPart);
            run(Phase.DECODE, (long) places * blocks, helpers, help);
            run(Phase.MERGE, places * rowsPerHead, helpers, help);
        }
    }

    private static int together(long parts, long floats, long largest) {
        long room = floats == 0 ? parts : Math.max(1, ROOM / floats);
        long limit = largest == 0 ? Integer.MAX_VALUE : Math.max(1, MOST_FLOATS / largest);
        return (int) Math.min(Math.min(parts, Integer.MAX_VALUE), Math.min(room, limit));
    }

    private void run(Phase newPhase, long newTasks, HelperThreads helpers, boolean help) {
        phase = newPhase;
        tasks = newTasks;
        next.set(0);
        entered.set(0);
        helpers.run(this, help && newTasks > 1);
        switch (failure.get()) {
            case RuntimeException e -> throw e;
            case Error e -> throw e;
            case null, default -> {}
        }
    }

    @Override
    public void work() {
        long task = next.getAndIncrement();
        if (task >= tasks) {
            return; // too late to be of help
        }
        try {
            VectorRows rows = enter();
            for (; task < tasks && failure.get() == null; task = next.getAndIncrement()) {
                work(rows, task);
            }
        } catch (RuntimeException | Error e) {
            failure.compareAndSet(null, e);
        }
    }

    private VectorRows enter() {
        int thread = entered.getAndIncrement();
        VectorRows rows = scratch[thread];
        if (rows == null) {
            rows = new VectorRows();
            scratch[thread] = rows;
        }
        rows.fit(settings());
        return rows;
    }

    private void work(VectorRows rows, long task) {
        int place = (int) (task % places);
        long number = task / places;
        long part = firstPart + place;
        int heads = settings().keyValueHeads();
        int b = (int) (part / heads);
        int keyHead = (int) (part % heads);
        switch (phase) {
            case PACK -> VectorPrefill.pack(this, rows, place, b, keyHead, (int) number);
            // The last rows first: under a causal mask they see most keys.
            case ATTEND -> VectorPrefill.attend(this, rows, place, b, keyHead, tasks / places - 1 - number);
            case DECODE -> VectorDecode.attend(this, rows, place, b, keyHead, (int) number);
            case MERGE -> VectorDecode.merge(this, rows, place, b, keyHead, (int) number);
        }
    }

    Settings settings() {
        return Objects.requireNonNull(settings);
    }

    Tensor q() {
        return Objects.requireNonNull(q);
    }

    Tensor k() {
        return Objects.requireNonNull(k);
    }

    Tensor v() {
        return Objects.requireNonNull(v);
    }

    @Nullable
    Tensor gate() {
        return gate;
    }

    Tensor out() {
        return Objects.requireNonNull(out);
    }

    @Nullable
    Tensor normWeight() {
        return normWeight;
    }

    @Nullable
    Tensor lse() {
        return lse;
    }

    @Nullable
    Tensor sink() {
        return sink;
    }

    /** Rows of a part: the queries of a sequence times the query heads of a group. */
    long rowsPerHead() {
        return rowsPerHead;
    }

    /** Which query a row is. */
    long query(long row) {
        return row / settings().group();
    }

    /** Which query head a row is of. */
    int head(int keyHead, long row) {
        int group = settings().group();
        return keyHead * group + (int) (row % group);
    }

    /** Where a row of q begins, in elements. */
    long rowOffset(Tensor tensor, int b, int keyHead, long row) {
        return b * tensor.stride(0) + query(row) * tensor.stride(1) + head(keyHead, row) * tensor.stride(2);
    }

    /** The first key of a sequence that any query sees. */
    long firstSeenKey(int b) {
        return firstSeen[b];
    }

    /** How many keys there are from that one to the last that any query sees. */
    int seenKeys(int b) {
        return seen[b];
    }

    /** The first key that a row sees, counted from {@link #firstSeenKey}. */
    int firstKey(int b, long row) {
        return clamp(settings().mask().firstKey(query(row), queries, lengths[b]), b);
    }

    /** One past the last key that a row sees, counted likewise; at most its first when it sees none. */
    int endKey(int b, long row) {
        return clamp(settings().mask().endKey(query(row), queries, lengths[b]), b);
    }

    private int clamp(long key, int b) {
        return Math.clamp(key - firstSeen[b], 0, seen[b]);
    }

    float[] packedKeys() {
        return packedKeys;
    }

    float[] packedValues() {
        return packedValues;
    }

    /** The number of a block of 64 packed keys. */
    int packedBlock(int place, int block) {
        return place * blocks + block;
    }

    void setUnusual(int packedBlock, boolean isUnusual) {
        unusual[packedBlock] = isUnusual;
    }

    /** Whether a value of the block is infinite or NaN. */
    boolean isUnusual(int packedBlock) {
        return unusual[packedBlock];
    }

    float[] partials() {
        return partials;
    }

    /** Where the partial result of a chunk and row begins. */
    int partial(int place, int chunk, int row) {
        return ((place * blocks + chunk) * (int) rowsPerHead + row) * partialSize;
    }
}
