package io.github.gatedattention.soak;

import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.KvCache;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Scales;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;

/**
 * A few streams of tokens, and what attention over the first so many of each gives: computed before the load starts, from tensors
 * of one sequence alone, for each type of cache.
 */
final class Streams {
    static final int COUNT = 4;
    static final int LONGEST = 160;
    static final int QUERY_HEADS = 4;
    static final int HEADS = 2;
    static final int DIM = 64;
    static final Setting SETTING = Setting.causal(DIM);
    /** Queries of a step: a token, or the end of a prompt. */
    static final int[] QUERIES = {1, 5};

    private static final long ROW_BYTES = (long) QUERY_HEADS * DIM * Float.BYTES;

    private final Tensor[] q = new Tensor[COUNT]; // [1, 5, Hq, D]
    private final Tensor[] k = new Tensor[COUNT]; // [LONGEST, Hkv, D]
    private final Tensor[] v = new Tensor[COUNT];
    private final MemorySegment[][][] results = new MemorySegment[DataType.values().length][COUNT][QUERIES.length];

    Streams(Arena arena, Target target, DataType... cacheTypes) {
        Random random = new Random(5);
        for (int s = 0; s < COUNT; s++) {
            q[s] = normal(random, arena, 1, 5, QUERY_HEADS, DIM);
            k[s] = normal(random, arena, LONGEST, HEADS, DIM);
            v[s] = normal(random, arena, LONGEST, HEADS, DIM);
        }
        try (GatedAttention attention = attention(target).build()) {
            for (DataType type : cacheTypes) {
                for (int s = 0; s < COUNT; s++) {
                    compute(arena, attention, type, s);
                }
            }
        }
    }

    static GatedAttention.Builder attention(Target target) {
        return target.builder(SETTING, DataType.F32, QUERY_HEADS, HEADS, DIM, DIM);
    }

    static KvCache.Builder shaped(KvCache.Builder builder, DataType type) {
        return builder.keyValueHeads(HEADS).headDim(DIM).dataType(type);
    }

    private static Tensor normal(Random random, Arena arena, long... shape) {
        Tensor tensor = Tensor.allocate(arena, DataType.F32, shape);
        Tensor flat = tensor.reshape(tensor.segment().byteSize() / Float.BYTES);
        for (long n = 0; n < flat.dim(0); n++) {
            flat.setFloat((float) random.nextGaussian(), n);
        }
        return tensor;
    }

    private void compute(Arena arena, GatedAttention attention, DataType type, int stream) {
        try (KvCache cache = shaped(KvCache.contiguous(1, LONGEST), type).build()) {
            cache.append(cache.allocate(), k[stream], v[stream]);
            for (int n = 0; n < QUERIES.length; n++) {
                int queries = QUERIES[n];
                MemorySegment all = arena.allocate((LONGEST + 1) * queries * ROW_BYTES, 64);
                for (int length = queries; length <= LONGEST; length++) {
                    Tensor out = Tensor.of(
                            all.asSlice(length * queries * ROW_BYTES), DataType.F32, 1, queries, QUERY_HEADS, DIM);
                    Scales scales = cache.scales() == null
                            ? null
                            : new Scales(
                                    cache.scales().keys().slice(1, 0, length),
                                    cache.scales().values().slice(1, 0, length));
                    Tensor keys = cache.keys().slice(1, 0, length);
                    Tensor values = cache.values().slice(1, 0, length);
                    attention.forward(Operands.of(query(stream, queries), keys, values, null, out)
                            .withScales(scales));
                }
                results[type.ordinal()][stream][n] = all;
            }
        }
    }

    /** {@code [1, queries, Hq, D]}. */
    Tensor query(int stream, int queries) {
        return q[stream].slice(1, 0, queries);
    }

    Tensor keys(int stream, int from, int to) {
        return k[stream].slice(0, from, to);
    }

    Tensor values(int stream, int from, int to) {
        return v[stream].slice(0, from, to);
    }

    /** Whether these are the bits of {@code QUERIES[n]} queries on the first {@code length} tokens. */
    boolean areRight(MemorySegment out, DataType type, int stream, int n, int length) {
        long bytes = QUERIES[n] * ROW_BYTES;
        return out.mismatch(results[type.ordinal()][stream][n].asSlice(length * bytes, bytes)) == -1;
    }
}
