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
        MERGE,
        BLANK
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
    private @Nullable Scales scales;

    // The cut.
    private Phase phase = Phase.PACK;
    private long tasks;
    private final SequenceTable sequences = new SequenceTable();
    private final Group decodes = new Group();
    private final Group prefills = new Group();
    private boolean hasPadding;
    private Group group = decodes; // at work
    private long firstPart;
    private int places;
    private int blocks; // per place: of 64 keys, or chunks of keys
    private int partialSize;

    // Memory, as large as any call needed so far.
    private long[] firstSeen = {}; // per sequence, the first key that any query sees
    private int[] seen = {}; // and how many from there to the last
    private float[] packedKeys = {};
    private float[] packedValues = {};
    private float[] partials = {};
    private boolean[] unusual = {};

    /** The sequences that are computed one way; those without queries are in no group. */
    private static final class Group {
        int[] members = {};
        int size;
        int mostKeys; // that are seen
        long mostRows; // per key/value head

        void clear(int batch) {
            members = members.length < batch ? new int[batch] : members;
            size = 0;
            mostKeys = 0;
            mostRows = 0;
        }

        void add(int b, int keys, long rows) {
            members[size++] = b;
            mostKeys = Math.max(mostKeys, keys);
            mostRows = Math.max(mostRows, rows);
        }
    }

    VectorCall(int threads) {
        scratch = new @Nullable VectorRows[threads];
    }

    /** Whether the packed keys of one part fit into an array. */
    private static boolean fits(Settings settings, long keys) {
        long dim = Math.max(settings.headDim() + 1, VectorRows.valueDim(settings));
        return keys <= (MOST_FLOATS - VectorRows.KEYS * dim) / dim;
    }

    private static boolean isDecode(Settings settings, long queries) {
        return queries <= VectorDecode.ROWS / settings.group();
    }

    /**
     * Computes; the operands were checked.
     *
     * @return false, and nothing is done, when no array can hold the keys of a sequence: the plain loops then do the whole
     *     call, the one case where a sequence may have other bits than alone
     */
    boolean run(
            Settings newSettings,
            Tensor newQ,
            Tensor newK,
            Tensor newV,
            @Nullable Tensor newGate,
            Tensor newOut,
            @Nullable Tensor newNormWeight,
            @Nullable Sequences newSequences,
            @Nullable Tensor newLse,
            @Nullable Tensor newSink,
            @Nullable Scales newScales,
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
        scales = newScales;
        try {
            if (!sort(newSettings, newQ, newK, newSequences)) {
                return false;
            }
            failure.set(null);
            decode(newSettings, helpers, help);
            prefill(newSettings, helpers, help);
            if (hasPadding) {
                run(Phase.BLANK, (long) sequences.batch() * newSettings.keyValueHeads(), helpers, help);
            }
            return true;
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
            scales = null;
        }
    }

    /**
     * How a call is cut.
     *
     * @param queryBlock packed rows per task
     * @param tasks units of work, preparation, merging and padding aside
     * @param bytes memory that threads share
     */
    record Cut(int queryBlock, long tasks, long bytes) {}

    /** Null when no array can hold the keys of a sequence. */
    static @Nullable Cut cut(Settings s, Operands o) {
        VectorCall call = new VectorCall(1);
        return call.sort(s, o.q(), o.k(), o.sequences()) ? call.cut(s) : null;
    }

    private Cut cut(Settings s) {
        long floats = partialFloats(s);
        long decodeParts = (long) decodes.size * s.keyValueHeads();
        long partialBytes = together(decodeParts, floats, floats) * floats * Float.BYTES;
        long keys = keyFloats(s);
        long values = valueFloats(s);
        long prefillParts = (long) prefills.size * s.keyValueHeads();
        long packedBytes =
                together(prefillParts, keys + values, Math.max(keys, values)) * (keys + values) * Float.BYTES;
        long tasks = 0;
        for (int n = 0; n < decodes.size; n++) {
            tasks += VectorDecode.chunks(seen[decodes.members[n]]);
        }
        for (int n = 0; n < prefills.size; n++) {
            tasks += Math.ceilDiv(rows(s, prefills.members[n]), (long) VectorRows.ROWS);
        }
        int queryBlock = prefills.size > 0 ? VectorRows.ROWS : (int) decodes.mostRows;
        return new Cut(queryBlock, tasks * s.keyValueHeads(), partialBytes + packedBytes);
    }

    /** Resolves the sequences and puts each into its group; false when the keys of one fit into no array. */
    private boolean sort(Settings s, Tensor newQ, Tensor newK, @Nullable Sequences newSequences) {
        sequences.read(newQ, newK, newSequences);
        int batch = sequences.batch();
        if (seen.length < batch) {
            firstSeen = new long[batch];
            seen = new int[batch];
        }
        decodes.clear(batch);
        prefills.clear(batch);
        hasPadding = false;
        for (int b = 0; b < batch; b++) {
            long seqQ = sequences.queries(b);
            hasPadding |= sequences.padding(b) > 0;
            if (seqQ == 0) {
                continue;
            }
            long length = sequences.keys(b);
            long first = Math.clamp(s.mask().firstKey(0, seqQ, length), 0, length);
            long end = Math.clamp(s.mask().endKey(seqQ - 1, seqQ, length), first, length);
            if (!fits(s, end - first)) {
                return false;
            }
            firstSeen[b] = first;
            seen[b] = (int) (end - first);
            (isDecode(s, seqQ) ? decodes : prefills).add(b, seen[b], rows(s, b));
        }
        return true;
    }

    /** Floats of the packed keys of a part. */
    private long keyFloats(Settings s) {
        return Math.ceilDiv(prefills.mostKeys, VectorRows.KEYS) * VectorPrefill.packedKeys(s);
    }

    private long valueFloats(Settings s) {
        return Math.ceilDiv(prefills.mostKeys, VectorRows.KEYS) * VectorPrefill.packedValues(s);
    }

    /** Floats of the partial results of a part. */
    private long partialFloats(Settings s) {
        return VectorDecode.mostChunks(decodes.mostKeys) * decodes.mostRows * VectorDecode.partialSize(s);
    }

    private void prefill(Settings s, HelperThreads helpers, boolean help) {
        group = prefills;
        blocks = Math.ceilDiv(prefills.mostKeys, VectorRows.KEYS);
        long parts = (long) prefills.size * s.keyValueHeads();
        long keys = keyFloats(s);
        long values = valueFloats(s);
        int together = together(parts, keys + values, Math.max(keys, values));
        packedKeys = VectorRows.atLeast(packedKeys, (int) (together * keys));
        packedValues = VectorRows.atLeast(packedValues, (int) (together * values));
        if (unusual.length < together * blocks) {
            unusual = new boolean[together * blocks];
        }
        long rowBlocks = Math.ceilDiv(prefills.mostRows, (long) VectorRows.ROWS);
        for (firstPart = 0; firstPart < parts; firstPart += together) {
            places = (int) Math.min(together, parts - firstPart);
            run(Phase.PACK, (long) places * blocks, helpers, help);
            run(Phase.ATTEND, places * rowBlocks, helpers, help);
        }
    }

    private void decode(Settings s, HelperThreads helpers, boolean help) {
        group = decodes;
        blocks = VectorDecode.mostChunks(decodes.mostKeys);
        partialSize = VectorDecode.partialSize(s);
        long parts = (long) decodes.size * s.keyValueHeads();
        long floats = partialFloats(s);
        int together = together(parts, floats, floats);
        partials = VectorRows.atLeast(partials, (int) (together * floats));
        for (firstPart = 0; firstPart < parts; firstPart += together) {
            places = (int) Math.min(together, parts - firstPart);
            run(Phase.DECODE, (long) places * blocks, helpers, help);
            run(Phase.MERGE, places * decodes.mostRows, helpers, help);
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
        int heads = settings().keyValueHeads();
        if (phase == Phase.BLANK) {
            blank(rows, (int) (task / heads), (int) (task % heads));
            return;
        }
        int place = (int) (task % places);
        long number = task / places;
        long part = firstPart + place;
        int b = group.members[(int) (part / heads)];
        int keyHead = (int) (part % heads);
        switch (phase) {
            case PACK -> VectorPrefill.pack(this, rows, place, b, keyHead, (int) number);
            // The last rows first: under a causal mask they see most keys.
            case ATTEND -> VectorPrefill.attend(this, rows, place, b, keyHead, tasks / places - 1 - number);
            case DECODE -> VectorDecode.attend(this, rows, place, b, keyHead, (int) number);
            case MERGE -> VectorDecode.merge(this, rows, place, b, keyHead, (int) number);
            case BLANK -> throw new AssertionError(phase);
        }
    }

    /** Writes the rows of padding as rows that see no key. */
    private void blank(VectorRows rows, int b, int keyHead) {
        long end = rows(b) + sequences.padding(b) * settings().group();
        for (long row = rows(b); row < end; row++) {
            rows.clear(row);
            VectorEpilogue.finish(this, rows, 0, b, keyHead);
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

    @Nullable
    Tensor keyScales() {
        return scales == null ? null : scales.keys();
    }

    @Nullable
    Tensor valueScales() {
        return scales == null ? null : scales.values();
    }

    SequenceTable sequences() {
        return sequences;
    }

    /** Rows of a part: the queries of a sequence times the query heads of a group. */
    long rows(int b) {
        return rows(settings(), b);
    }

    private long rows(Settings s, int b) {
        return sequences.queries(b) * s.group();
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
        return sequences.queryEntry(b) * tensor.stride(0)
                + sequences.queryRow(b, query(row)) * tensor.stride(1)
                + head(keyHead, row) * tensor.stride(2);
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
        return clamp(settings().mask().firstKey(query(row), sequences.queries(b), sequences.keys(b)), b);
    }

    /** One past the last key that a row sees, counted likewise; at most its first when it sees none. */
    int endKey(int b, long row) {
        return clamp(settings().mask().endKey(query(row), sequences.queries(b), sequences.keys(b)), b);
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
        return ((place * blocks + chunk) * (int) decodes.mostRows + row) * partialSize;
    }
}
