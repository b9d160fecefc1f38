package io.github.gatedattention.soak;

import io.github.gatedattention.CacheFullException;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.KvCache;
import io.github.gatedattention.KvCacheBatch;
import io.github.gatedattention.MergeOperands;
import io.github.gatedattention.Operands;
import io.github.gatedattention.PreparedForward;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;

/** One thread of the load: draws what to do next, does it, and holds every result against bits known before. */
final class Worker {
    private static final int MOST_HELD = 3;

    private final Load load;
    private final Random random;
    private final GatedAttention attention;
    private final Load.Known[] own;
    private final List<OnCache> caches = new ArrayList<>();
    long steps;

    /** A sequence of this worker, which holds the beginning of a stream. */
    private static final class Held {
        final long id;
        final int stream;
        int length;

        Held(long id, int stream, int length) {
            this.id = id;
            this.stream = stream;
            this.length = length;
        }
    }

    /** This worker's sequences in a cache that all share, and a call prepared for each number of queries. */
    private final class OnCache {
        final Load.Shared shared;
        final KvCache cache;
        final KvCacheBatch batch;
        final List<Held> held = new ArrayList<>();
        final Tensor[] q = new Tensor[Streams.QUERIES.length];
        final Tensor[] out = new Tensor[Streams.QUERIES.length];
        final PreparedForward[] step = new PreparedForward[Streams.QUERIES.length];

        OnCache(Arena arena, Load.Shared shared) {
            this.shared = shared;
            cache = shared.cache();
            batch = cache.batch(MOST_HELD, Streams.LONGEST);
            for (int n = 0; n < step.length; n++) {
                int queries = Streams.QUERIES[n];
                q[n] = Tensor.allocate(arena, DataType.F32, MOST_HELD, queries, Streams.QUERY_HEADS, Streams.DIM);
                out[n] = Tensor.allocate(arena, DataType.F32, MOST_HELD, queries, Streams.QUERY_HEADS, Streams.DIM);
                step[n] = attention.prepare(Operands.of(q[n], cache.keys(), cache.values(), null, out[n])
                        .withScales(cache.scales())
                        .withSequences(batch.sequences()));
            }
        }

        void act() {
            if (held.isEmpty()) {
                begin();
                return;
            }
            Held one = held.get(random.nextInt(held.size()));
            switch (random.nextInt(16)) {
                case 0 -> begin();
                case 1 -> fork(one);
                case 2 -> free(one);
                case 3 -> truncate(one);
                case 4, 5, 6 -> append(one, 1 + random.nextInt(30));
                case 7, 8, 9 -> append(one, 1);
                default -> attend(random.nextInt(step.length));
            }
        }

        private void begin() {
            if (held.size() == MOST_HELD) {
                free(held.getFirst());
            }
            try {
                held.add(new Held(cache.allocate(), random.nextInt(Streams.COUNT), 0));
            } catch (CacheFullException allInUse) {
                load.refused.increment();
            }
        }

        private void fork(Held from) {
            if (held.size() == MOST_HELD) {
                free(held.getFirst() == from ? held.getLast() : held.getFirst());
            }
            try {
                held.add(new Held(cache.fork(from.id), from.stream, from.length));
            } catch (CacheFullException allInUse) {
                load.refused.increment();
            }
        }

        private void free(Held one) {
            cache.free(one.id);
            held.remove(one);
        }

        private void truncate(Held one) {
            one.length = random.nextInt(one.length + 1);
            cache.truncate(one.id, one.length);
        }

        private void append(Held one, int count) {
            int to = Math.min(Streams.LONGEST, one.length + count);
            try {
                cache.append(
                        one.id,
                        load.streams.keys(one.stream, one.length, to),
                        load.streams.values(one.stream, one.length, to));
                one.length = to;
            } catch (CacheFullException noPages) {
                load.refused.increment();
                free(one);
            }
        }

        private void attend(int n) {
            int queries = Streams.QUERIES[n];
            long[] ids = held.stream().mapToLong(one -> one.id).toArray();
            long bytes = q[n].segment().byteSize() / MOST_HELD;
            for (int b = 0; b < ids.length; b++) {
                MemorySegment query =
                        load.streams.query(held.get(b).stream, queries).segment();
                MemorySegment.copy(query, 0, q[n].segment(), b * bytes, bytes);
            }
            batch.refresh(ids);
            step[n].run();
            for (int b = 0; b < ids.length; b++) {
                Held one = held.get(b);
                boolean known = one.length >= queries;
                MemorySegment row = out[n].segment().asSlice(b * bytes, bytes);
                if (known && !load.streams.areRight(row, shared.type(), one.stream, n, one.length)) {
                    throw new AssertionError("wrong bits: " + queries + " queries on " + one.length + " tokens in "
                            + cache + " of stream " + one.stream);
                }
            }
        }

        void freeAll() {
            while (!held.isEmpty()) {
                free(held.getFirst());
            }
        }
    }

    Worker(Load load, int number, Arena arena, GatedAttention attention) {
        this.load = load;
        this.random = new Random(number);
        this.attention = attention;
        this.own = load.known(arena);
        load.shared.forEach(shared -> caches.add(new OnCache(arena, shared)));
    }

    void run(long untilNanos) {
        while (System.nanoTime() - untilNanos < 0 && load.failure.get() == null) {
            switch (random.nextInt(40)) {
                case 0 -> prefill();
                case 1 -> merge();
                case 2 -> openRuntime();
                case 3 -> brieflyOwnCache();
                default -> caches.get(random.nextInt(caches.size())).act();
            }
            steps++;
        }
        caches.forEach(OnCache::freeAll);
    }

    private void prefill() {
        Load.Known known = own[random.nextInt(own.length)];
        known.sample().spoilOutputs();
        load.attention(known).forward(known.sample().operands());
        expect(known, load.best(), "prefill");
    }

    private void merge() {
        Load.Known known = own[random.nextInt(own.length)];
        MergeOperands merge = known.merge();
        known.sample().spoilOutputs();
        load.attention(known).merge(merge);
        if (!Arrays.equals(known.sample().outputBytes(), known.merged())) {
            throw new AssertionError("wrong bits: merge");
        }
    }

    /** Mostly with threads of its own: then a runtime starts, and ends with the instance. */
    private void openRuntime() {
        Load.Known known = own[random.nextInt(own.length)];
        Target target = Target.cpu().get(random.nextInt(Target.cpu().size()));
        known.sample().spoilOutputs();
        try (GatedAttention brief =
                known.sample().builder(target).threads(1 + random.nextInt(4)).build()) {
            brief.forward(known.sample().operands());
        }
        expect(known, target, "a runtime of its own");
    }

    private void expect(Load.Known known, Target target, String what) {
        if (!Arrays.equals(known.sample().outputBytes(), known.results().get(target))) {
            throw new AssertionError("wrong bits: " + what + " on " + target);
        }
    }

    private void brieflyOwnCache() {
        DataType type = Load.CACHE_TYPES[random.nextInt(Load.CACHE_TYPES.length)];
        KvCache.Builder builder = random.nextBoolean() ? KvCache.paged(40, 8) : KvCache.contiguous(2, 200);
        try (KvCache brief = Streams.shaped(builder, type).build();
                Arena arena = Arena.ofShared()) {
            int stream = random.nextInt(Streams.COUNT);
            int length = 1 + random.nextInt(Streams.LONGEST);
            long id = brief.allocate();
            brief.append(id, load.streams.keys(stream, 0, length), load.streams.values(stream, 0, length));
            Tensor out = Tensor.allocate(arena, DataType.F32, 1, 1, Streams.QUERY_HEADS, Streams.DIM);
            attention.forward(Operands.of(load.streams.query(stream, 1), brief.keys(), brief.values(), null, out)
                    .withScales(brief.scales())
                    .withSequences(brief.sequences(id)));
            if (!load.streams.areRight(out.segment(), type, stream, 0, length)) {
                throw new AssertionError("wrong bits: " + brief + ", " + length + " tokens");
            }
        }
    }
}
