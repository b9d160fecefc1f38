package io.github.gatedattention.cache;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.gatedattention.Activation;
import io.github.gatedattention.CacheFullException;
import io.github.gatedattention.Combination;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.KvCache;
import io.github.gatedattention.KvCacheBatch;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Sequences;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * Random steps on a cache beside {@link CacheModel}. What runs out, how many pages are in use and what each sequence holds must
 * agree at every step; attention over some of the sequences must have the bits that each has alone in contiguous tensors.
 *
 * <p>{@code -Dga.cache.seed=N} draws other steps; they are 160,000 in all, and with {@code -Dga.full=true} in each cache.
 */
class KvCacheModelTest {
    private static final int STEPS =
            Integer.getInteger("ga.cache.steps", Boolean.getBoolean("ga.full") ? 100_000 : 20_000);
    private static final long SEED = Long.getLong("ga.cache.seed", 20_261_124L);
    private static final int QUERY_HEADS = 4;
    private static final int HEADS = 2;
    private static final int DIM = 16;
    private static final int VALUE_DIM = 8;
    private static final int MOST_SEQUENCES = 9;
    private static final int BATCH = 3;
    private static final Setting SETTING = Setting.causal(DIM).withGate(Activation.SIGMOID, Combination.MULTIPLY);

    private Random random = new Random();
    private CacheModel model = new CacheModel(true, 0, 1);
    private int nextToken;

    @ParameterizedTest
    @CsvSource({
        "paged, 40, 1, F32, F32",
        "paged, 24, 4, BF16, BF16",
        "paged, 9, 16, F32, BF16",
        "paged, 3, 256, F16, F16",
        "contiguous, 6, 60, BF16, BF16",
        "paged, 23, 4, F32, I8",
        "paged, 8, 16, BF16, I8",
        "contiguous, 5, 61, F16, I8",
    })
    void randomStepsAgreeWithTheModel(String kind, int blocks, int tokens, DataType type, DataType cacheType) {
        boolean paged = kind.equals("paged");
        long seed = SEED + tokens;
        System.out.printf(
                "cache model: %d steps, %s %d x %d %s under %s, seed %d%n",
                STEPS, kind, blocks, tokens, cacheType, type, seed);
        random = new Random(seed);
        model = new CacheModel(paged, blocks, tokens);
        Target target = Target.backends().findFirst().orElseThrow();
        KvCache.Builder builder = paged ? KvCache.paged(blocks, tokens) : KvCache.contiguous(blocks, tokens);
        try (Arena arena = Arena.ofShared();
                GatedAttention attention = target.builder(SETTING, type, QUERY_HEADS, HEADS, DIM, VALUE_DIM)
                        .build();
                KvCache cache = builder.keyValueHeads(HEADS)
                        .headDim(DIM)
                        .valueHeadDim(VALUE_DIM)
                        .dataType(cacheType)
                        .build()) {
            Step step = new Step(cache, new Attend(attention, cache, type, cacheType, arena));
            for (int n = 0; n < STEPS; n++) {
                step.run();
                assertThat(cache.pagesInUse())
                        .as("pages in use after step %d", n)
                        .isEqualTo(model.pagesInUse());
                assertThat(cache.sequenceCount()).isEqualTo(model.ids().size());
            }
            assertThat(step.refused).as("refused for want of room").isGreaterThan(STEPS / 200);
            assertThat(step.attended).as("attended").isGreaterThan(STEPS / 10);
            for (long id : model.ids()) {
                assertThat(CacheRows.holds(cache, id, model.tokens(id))).isTrue();
                cache.free(id);
            }
            assertThat(cache.pagesInUse()).isZero();
        }
    }

    private long anyId() {
        List<Long> ids = model.ids();
        return ids.get(random.nextInt(ids.size()));
    }

    /** Mostly a token, at times a prompt. */
    private List<Integer> newTokens(boolean several) {
        int n = several && random.nextInt(4) == 0 ? random.nextInt(40) : 1;
        nextToken += n;
        return IntStream.range(nextToken - n, nextToken).boxed().toList();
    }

    /** Does one thing to the cache and to the model. */
    private final class Step {
        private final KvCache cache;
        private final Attend attend;
        private int refused;
        private int attended;

        Step(KvCache cache, Attend attend) {
            this.cache = cache;
            this.attend = attend;
        }

        void run() {
            if (model.ids().isEmpty()) {
                allocate();
                return;
            }
            switch (random.nextInt(20)) {
                case 0, 1 -> allocate();
                case 2, 3 -> fork(anyId());
                case 4 -> free();
                case 5, 6 -> truncate(anyId());
                case 7, 8, 9, 10 -> append(List.of(anyId()), true);
                case 11, 12, 13 -> append(someIds(), random.nextBoolean());
                default -> {
                    attended++;
                    attend.run();
                }
            }
        }

        private void allocate() {
            if (model.ids().size() == MOST_SEQUENCES) {
                free();
            } else if (model.canAdd()) {
                model.add(cache.allocate());
            } else {
                refused++;
                assertThatThrownBy(cache::allocate).isInstanceOf(CacheFullException.class);
            }
        }

        private void fork(long id) {
            if (model.ids().size() == MOST_SEQUENCES) {
                free();
            } else if (model.canAdd()) {
                model.fork(id, cache.fork(id));
            } else {
                refused++;
                assertThatThrownBy(() -> cache.fork(id)).isInstanceOf(CacheFullException.class);
            }
        }

        private void free() {
            long id = anyId();
            assertThat(CacheRows.holds(cache, id, model.tokens(id))).isTrue();
            model.free(id);
            cache.free(id);
            assertThatThrownBy(() -> cache.length(id)).isInstanceOf(IllegalArgumentException.class);
        }

        private void truncate(long id) {
            int length = random.nextInt(model.tokens(id).size() + 1);
            model.truncate(id, length);
            cache.truncate(id, length);
        }

        private List<Long> someIds() {
            List<Long> ids = new ArrayList<>(model.ids());
            Collections.shuffle(ids, random);
            return ids.subList(0, 1 + random.nextInt(ids.size()));
        }

        private void append(List<Long> ids, boolean several) {
            List<List<Integer>> tokens =
                    ids.stream().map(_ -> newTokens(several)).toList();
            try (Arena arena = Arena.ofConfined()) {
                List<Integer> packed = tokens.stream().flatMap(List::stream).toList();
                Tensor k = CacheRows.keys(arena, attend.type, packed, HEADS, DIM);
                Tensor v = CacheRows.values(arena, attend.type, packed, HEADS, VALUE_DIM);
                long[] list = ids.stream().mapToLong(id -> id).toArray();
                Runnable append;
                if (ids.size() == 1) {
                    append = () -> cache.append(list[0], k, v);
                } else if (several) {
                    int[] counts = tokens.stream().mapToInt(List::size).toArray();
                    append = () -> cache.append(list, counts, k, v);
                } else {
                    append = () -> cache.append(
                            list, k.reshape(list.length, 1, HEADS, DIM), v.reshape(list.length, 1, HEADS, VALUE_DIM));
                }
                if (model.canAppend(ids, tokens)) {
                    model.append(ids, tokens);
                    append.run();
                } else {
                    refused++;
                    assertThatThrownBy(append::run).isInstanceOf(CacheFullException.class);
                }
            }
            for (long id : ids) {
                assertThat(CacheRows.holds(cache, id, model.tokens(id)))
                        .as("sequence %d", id)
                        .isTrue();
            }
        }
    }

    /** Attends to a few sequences, through the batch or with tables of their own, and to each alone. */
    private final class Attend {
        private final GatedAttention attention;
        private final KvCache cache;
        private final DataType type;
        private final DataType cacheType;
        private final KvCacheBatch batch;
        private final Tensor q;
        private final Tensor gate;
        private final Tensor out;

        Attend(GatedAttention attention, KvCache cache, DataType type, DataType cacheType, Arena arena) {
            this.attention = attention;
            this.cache = cache;
            this.type = type;
            this.cacheType = cacheType;
            batch = cache.batch(BATCH, cache.maxLength());
            q = normal(arena, BATCH, 2, QUERY_HEADS, DIM);
            gate = normal(arena, BATCH, 2, QUERY_HEADS, VALUE_DIM);
            out = Tensor.allocate(arena, type, BATCH, 2, QUERY_HEADS, VALUE_DIM);
        }

        private Tensor normal(Arena arena, long... shape) {
            Tensor tensor = Tensor.allocate(arena, type, shape);
            Tensor flat = tensor.reshape(tensor.segment().byteSize() / type.byteSize());
            for (long n = 0; n < flat.dim(0); n++) {
                flat.setFloat((float) random.nextGaussian(), n);
            }
            return tensor;
        }

        void run() {
            int queries = 1 + random.nextInt(2);
            long[] ids = new long[1 + random.nextInt(BATCH)];
            for (int n = 0; n < ids.length; n++) {
                ids[n] = anyId();
            }
            out.segment().fill((byte) 0xFF);
            if (random.nextBoolean()) {
                batch.refresh(ids);
                call(queries, BATCH, batch.sequences());
            } else {
                call(queries, ids.length, cache.sequences(ids));
            }
            for (int n = 0; n < ids.length; n++) {
                assertThat(out.slice(0, n, n + 1).slice(1, 0, queries).toFloatArray())
                        .as(
                                "sequence %d with %d tokens",
                                ids[n], model.tokens(ids[n]).size())
                        .containsExactly(alone(queries, n, model.tokens(ids[n])));
            }
        }

        private void call(int queries, int size, Sequences sequences) {
            attention.forward(Operands.of(
                            part(q, 0, size, queries),
                            cache.keys(),
                            cache.values(),
                            part(gate, 0, size, queries),
                            part(out, 0, size, queries))
                    .withScales(cache.scales())
                    .withSequences(sequences));
        }

        private float[] alone(int queries, int n, List<Integer> tokens) {
            try (Arena arena = Arena.ofShared()) {
                CacheRows.Kept kept = CacheRows.kept(arena, cacheType, tokens, HEADS, DIM, VALUE_DIM);
                float[] own = attend(arena, queries, n, kept);
                if (cacheType == DataType.I8) {
                    float[] exact =
                            attend(arena, queries, n, CacheRows.kept(arena, type, tokens, HEADS, DIM, VALUE_DIM));
                    for (int i = 0; i < own.length; i++) {
                        int row = i / VALUE_DIM;
                        assertThat((double) own[i])
                                .as("quantized, element %d", i)
                                .isCloseTo(exact[i], within(quantizationError(row, n, tokens)));
                    }
                }
                return own;
            }
        }

        private float[] attend(Arena arena, int queries, int n, CacheRows.Kept kept) {
            Tensor own = Tensor.allocate(arena, type, 1, queries, QUERY_HEADS, VALUE_DIM);
            attention.forward(
                    Operands.of(part(q, n, n + 1, queries), kept.k(), kept.v(), part(gate, n, n + 1, queries), own)
                            .withScales(kept.scales()));
            return own.toFloatArray();
        }

        /**
         * A key is off by half a scale per element at most, so a score by {@code s = scale * sum |q| * half a scale}, a weight by a
         * factor of {@code e^2s}, and the result by that times the largest value plus half a scale of the values; to which the
         * rounding of 16-bit types is added. The gate, a sigmoid, makes it smaller.
         */
        private double quantizationError(int row, int n, List<Integer> tokens) {
            int head = row % QUERY_HEADS / (QUERY_HEADS / HEADS);
            double keyScale = 0;
            double valueScale = 0;
            for (int token : tokens) {
                keyScale = Math.max(keyScale, CacheRows.keyScale(token, head, DIM));
                valueScale = Math.max(valueScale, CacheRows.valueScale(token, head, VALUE_DIM));
            }
            double sum = 0;
            for (int d = 0; d < DIM; d++) {
                sum += Math.abs(q.getFloat(n, row / QUERY_HEADS, row % QUERY_HEADS, d));
            }
            double score = SETTING.scale() * sum * keyScale / 2;
            double most = valueScale * 127;
            double rounding = type == DataType.F32 ? 1e-5 : 0x1p-6;
            return Math.expm1(2 * score) * most + valueScale / 2 + rounding * most;
        }

        private static Tensor part(Tensor tensor, int from, int to, int queries) {
            return tensor.slice(0, from, to).slice(1, 0, queries);
        }
    }
}
