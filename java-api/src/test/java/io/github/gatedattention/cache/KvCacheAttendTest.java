package io.github.gatedattention.cache;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.KvCache;
import io.github.gatedattention.KvCacheBatch;
import io.github.gatedattention.Operands;
import io.github.gatedattention.PreparedForward;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.stream.IntStream;
import java.util.stream.LongStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Attention over a cache has the bits of attention over the same keys and values in contiguous tensors. */
class KvCacheAttendTest {
    private static final int QUERY_HEADS = 4;
    private static final int HEADS = 2;
    private static final int DIM = 16;
    private static final int VALUE_DIM = 8;
    private static final Setting SETTING = Setting.causal(DIM);

    /** Every backend, with each kind of cache, each type of q, and each type that a cache may have under it. */
    record Case(Target target, boolean paged, DataType type, DataType cacheType) {
        KvCache cache() {
            KvCache.Builder builder = paged ? KvCache.paged(400, 5) : KvCache.contiguous(6, 331);
            return builder.keyValueHeads(HEADS)
                    .headDim(DIM)
                    .valueHeadDim(VALUE_DIM)
                    .dataType(cacheType)
                    .build();
        }

        GatedAttention attention() {
            return target.builder(SETTING, type, QUERY_HEADS, HEADS, DIM, VALUE_DIM)
                    .build();
        }
    }

    static Stream<Case> cases() {
        return Target.backends()
                .flatMap(target -> Stream.of(true, false)
                        .flatMap(paged -> Stream.of(DataType.F32, DataType.BF16, DataType.F16)
                                .flatMap(type -> Stream.of(DataType.values())
                                        .filter(cacheType -> fits(type, cacheType))
                                        .map(cacheType -> new Case(target, paged, type, cacheType)))));
    }

    private static boolean fits(DataType type, DataType cacheType) {
        return type == cacheType || cacheType == DataType.I8 || (type == DataType.F32 && cacheType != DataType.I32);
    }

    private static Tensor normal(Random random, Arena arena, DataType type, long... shape) {
        float[] values = new float[(int) LongStream.of(shape).reduce(1, (a, b) -> a * b)];
        for (int n = 0; n < values.length; n++) {
            values[n] = (float) random.nextGaussian();
        }
        return Tensor.copyOf(arena, type, values, shape);
    }

    private static List<Integer> tokens(int from, int to) {
        return IntStream.range(from, to).boxed().toList();
    }

    /** The operator's output for one sequence, from tensors made for it alone. */
    private static float[] alone(GatedAttention attention, Arena arena, Case of, Tensor q, List<Integer> tokens) {
        CacheRows.Kept kept = CacheRows.kept(arena, of.cacheType, tokens, HEADS, DIM, VALUE_DIM);
        Tensor out = Tensor.allocate(arena, of.type, 1, q.dim(1), QUERY_HEADS, VALUE_DIM);
        attention.forward(Operands.of(q, kept.k(), kept.v(), null, out).withScales(kept.scales()));
        return out.toFloatArray();
    }

    private static void append(KvCache cache, Arena arena, DataType type, long id, List<Integer> tokens) {
        cache.append(
                id,
                CacheRows.keys(arena, type, tokens, HEADS, DIM),
                CacheRows.values(arena, type, tokens, HEADS, VALUE_DIM));
    }

    @ParameterizedTest
    @MethodSource("cases")
    void aBatchOfSequencesHasTheBitsOfEachAlone(Case of) {
        Random random = new Random(7);
        try (Arena arena = Arena.ofShared();
                KvCache cache = of.cache();
                GatedAttention attention = of.attention()) {
            int[] lengths = {1, 33, 330, 4};
            long[] ids = new long[lengths.length];
            List<List<Integer>> held = new ArrayList<>();
            for (int b = 0; b < ids.length; b++) {
                ids[b] = cache.allocate();
                append(cache, arena, of.type, ids[b], tokens(1000 * b, 1000 * b + lengths[b]));
                held.add(tokens(1000 * b, 1000 * b + lengths[b]));
            }
            // The last is a fork that went its own way.
            ids[3] = cache.fork(ids[1]);
            append(cache, arena, of.type, ids[3], tokens(5000, 5003));
            held.set(
                    3,
                    Stream.concat(held.get(1).stream(), tokens(5000, 5003).stream())
                            .toList());

            for (int queries : new int[] {1, 3}) {
                Tensor q = normal(random, arena, of.type, 4, queries, QUERY_HEADS, DIM);
                Tensor out = Tensor.allocate(arena, of.type, 4, queries, QUERY_HEADS, VALUE_DIM);
                attention.forward(Operands.of(q, cache.keys(), cache.values(), null, out)
                        .withScales(cache.scales())
                        .withSequences(cache.sequences(ids)));
                for (int b = 0; b < ids.length; b++) {
                    assertThat(out.slice(0, b, b + 1).toFloatArray())
                            .as("sequence %d, %d queries", b, queries)
                            .containsExactly(alone(attention, arena, of, q.slice(0, b, b + 1), held.get(b)));
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void aPreparedStepSeesEachRefresh(Case of) {
        Random random = new Random(8);
        try (Arena arena = Arena.ofShared();
                KvCache cache = of.cache();
                GatedAttention attention = of.attention()) {
            long[] ids = {cache.allocate(), cache.allocate()};
            append(cache, arena, of.type, ids[0], tokens(0, 9));
            Tensor q = normal(random, arena, of.type, 3, 1, QUERY_HEADS, DIM);
            Tensor out = Tensor.allocate(arena, of.type, 3, 1, QUERY_HEADS, VALUE_DIM);
            KvCacheBatch batch = cache.batch(3, 40);
            PreparedForward step = attention.prepare(Operands.of(q, cache.keys(), cache.values(), null, out)
                    .withScales(cache.scales())
                    .withSequences(batch.sequences()));
            for (int token = 0; token < 12; token++) {
                append(cache, arena, of.type, ids[0], tokens(9 + token, 10 + token));
                append(cache, arena, of.type, ids[1], tokens(100 + token, 101 + token));
                batch.refresh(ids);
                out.segment().fill((byte) 0xFF);
                step.run();
                assertThat(out.slice(0, 0, 1).toFloatArray())
                        .containsExactly(alone(attention, arena, of, q.slice(0, 0, 1), tokens(0, 10 + token)));
                assertThat(out.slice(0, 1, 2).toFloatArray())
                        .containsExactly(alone(attention, arena, of, q.slice(0, 1, 2), tokens(100, 101 + token)));
                assertThat(out.slice(0, 2, 3).toFloatArray()).containsOnly(0);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("cases")
    void someSequencesPrefillWhileOthersDecode(Case of) {
        Random random = new Random(9);
        try (Arena arena = Arena.ofShared();
                KvCache cache = of.cache();
                GatedAttention attention = of.attention()) {
            long[] ids = {cache.allocate(), cache.allocate()};
            append(cache, arena, of.type, ids[0], tokens(0, 50));
            int[] counts = {1, 20};
            List<Integer> packed = Stream.concat(tokens(50, 51).stream(), tokens(200, 220).stream())
                    .toList();
            cache.append(
                    ids,
                    counts,
                    CacheRows.keys(arena, of.type, packed, HEADS, DIM),
                    CacheRows.values(arena, of.type, packed, HEADS, VALUE_DIM));
            Tensor q = normal(random, arena, of.type, 1, 21, QUERY_HEADS, DIM);
            Tensor out = Tensor.allocate(arena, of.type, 1, 21, QUERY_HEADS, VALUE_DIM);
            Tensor starts = Tensor.copyOf(arena, DataType.I32, new int[] {0, 1, 21}, 3);
            attention.forward(Operands.of(q, cache.keys(), cache.values(), null, out)
                    .withScales(cache.scales())
                    .withSequences(cache.sequences(ids).withPackedQueries(starts)));
            assertThat(out.slice(1, 0, 1).toFloatArray())
                    .containsExactly(alone(attention, arena, of, q.slice(1, 0, 1), tokens(0, 51)));
            assertThat(out.slice(1, 1, 21).toFloatArray())
                    .containsExactly(alone(attention, arena, of, q.slice(1, 1, 21), tokens(200, 220)));
        }
    }

    /** A token with a NaN or an infinity makes NaN of the queries that see it, in every cache, and of no others. */
    @ParameterizedTest
    @MethodSource("cases")
    void whatIsNoNumberReachesThoseWhoSeeIt(Case of) {
        try (Arena arena = Arena.ofShared();
                KvCache cache = of.cache();
                GatedAttention attention = of.attention()) {
            for (float bad : new float[] {Float.NaN, Float.POSITIVE_INFINITY}) {
                for (boolean inKey : new boolean[] {true, false}) {
                    for (int at : new int[] {3, 40}) {
                        long id = cache.allocate();
                        Tensor k = CacheRows.keys(arena, DataType.F32, tokens(0, 45), HEADS, DIM);
                        Tensor v = CacheRows.values(arena, DataType.F32, tokens(0, 45), HEADS, VALUE_DIM);
                        (inKey ? k : v).setFloat(bad, at, 1, 2);
                        cache.append(id, k, v);
                        for (int queries : new int[] {2, 45}) {
                            expectNotANumber(of, arena, attention, cache, id, queries, at, inKey);
                        }
                        cache.free(id);
                    }
                }
            }
        }
    }

    private static void expectNotANumber(
            Case of,
            Arena arena,
            GatedAttention attention,
            KvCache cache,
            long id,
            int queries,
            int at,
            boolean inKey) {
        Tensor q = normal(new Random(12), arena, of.type, 1, queries, QUERY_HEADS, DIM);
        Tensor out = Tensor.allocate(arena, of.type, 1, queries, QUERY_HEADS, VALUE_DIM);
        attention.forward(Operands.of(q, cache.keys(), cache.values(), null, out)
                .withScales(cache.scales())
                .withSequences(cache.sequences(id)));
        boolean wholeRow = of.cacheType == DataType.I8;
        for (int i = 0; i < queries; i++) {
            boolean sees = 45 - queries + i >= at;
            for (int h = 0; h < QUERY_HEADS; h++) {
                boolean concerned = sees && h / 2 == 1;
                for (int d = 0; d < VALUE_DIM; d++) {
                    float result = out.getFloat(0, i, h, d);
                    if (!concerned || (!inKey && !wholeRow && d != 2)) {
                        assertThat(result)
                                .as("query %d of %d, head %d, token %d", i, queries, h, at)
                                .isFinite();
                    } else if (wholeRow) {
                        assertThat(result)
                                .as("query %d of %d, head %d, token %d", i, queries, h, at)
                                .isNaN();
                    }
                }
            }
        }
    }

    /** One thread attends to its sequence while others fill, fork, truncate and free theirs around it. */
    @Test
    void attendingGoesOnWhileOthersAppend() throws Exception {
        Case of = new Case(Target.backends().findFirst().orElseThrow(), true, DataType.F32, DataType.F32);
        try (Arena arena = Arena.ofShared();
                KvCache cache = of.cache();
                GatedAttention attention = of.attention();
                var threads = Executors.newFixedThreadPool(3)) {
            long mine = cache.allocate();
            append(cache, arena, of.type, mine, tokens(0, 302));
            Tensor q = normal(new Random(10), arena, of.type, 1, 1, QUERY_HEADS, DIM);
            Tensor out = Tensor.allocate(arena, of.type, 1, 1, QUERY_HEADS, VALUE_DIM);
            float[] expected = alone(attention, arena, of, q, tokens(0, 302));
            List<Future<?>> others = new ArrayList<>();
            for (int t = 0; t < 3; t++) {
                int first = 1000 * (t + 1);
                others.add(threads.submit(() -> comeAndGo(cache, of.type, mine, first)));
            }
            KvCacheBatch batch = cache.batch(1, 400);
            batch.refresh(mine);
            Operands operands =
                    Operands.of(q, cache.keys(), cache.values(), null, out).withSequences(batch.sequences());
            do {
                attention.forward(operands);
                assertThat(out.toFloatArray()).containsExactly(expected);
            } while (!others.stream().allMatch(Future::isDone));
            for (Future<?> other : others) {
                other.get();
            }
            assertThat(cache.sequenceCount()).isEqualTo(1);
            assertThat(cache.pagesInUse()).isEqualTo(61);
        }
    }

    /** The JVM keeps memory open while a native call reads it. Between two calls the cache can close, so it is tried again. */
    @Test
    @DisabledIfSystemProperty(named = "ga.native", matches = "false")
    void aCacheThatIsReadStaysOpen() throws InterruptedException {
        Case of = new Case(Target.cpu().getLast(), true, DataType.F32, DataType.F32);
        boolean refused = false;
        for (int attempt = 0; attempt < 50 && !refused; attempt++) {
            try (Arena arena = Arena.ofShared();
                    KvCache cache = of.cache();
                    GatedAttention attention = of.attention()) {
                long id = cache.allocate();
                append(cache, arena, of.type, id, tokens(0, 2000));
                Tensor q = normal(new Random(11), arena, of.type, 1, 2000, QUERY_HEADS, DIM);
                Tensor out = Tensor.allocate(arena, of.type, 1, 2000, QUERY_HEADS, VALUE_DIM);
                Operands operands =
                        Operands.of(q, cache.keys(), cache.values(), null, out).withSequences(cache.sequences(id));
                CountDownLatch started = new CountDownLatch(1);
                AtomicBoolean done = new AtomicBoolean();
                Thread caller = Thread.ofPlatform().start(() -> {
                    while (!done.get()) {
                        started.countDown();
                        try {
                            attention.forward(operands);
                        } catch (IllegalStateException e) {
                            return; // closed between two calls
                        }
                    }
                });
                started.await();
                TimeUnit.MILLISECONDS.sleep(1 + attempt % 5);
                try {
                    cache.close();
                } catch (IllegalStateException e) {
                    refused = true;
                    assertThat(cache.length(id)).isEqualTo(2000);
                } finally {
                    done.set(true);
                    caller.join();
                }
            }
        }
        assertThat(refused).isTrue();
    }

    private static void comeAndGo(KvCache cache, DataType type, long shared, int first) {
        try (Arena arena = Arena.ofConfined()) {
            for (int round = 0; round < 200; round++) {
                long id = cache.fork(shared);
                append(cache, arena, type, id, tokens(first, first + 17));
                List<Integer> held = Stream.concat(tokens(0, 302).stream(), tokens(first, first + 17).stream())
                        .toList();
                assertThat(CacheRows.holds(cache, id, held)).isTrue();
                cache.truncate(id, 300);
                cache.free(id);
            }
        }
    }
}
