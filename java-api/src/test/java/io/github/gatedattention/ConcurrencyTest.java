package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.stream.IntStream;
import java.util.stream.Stream;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Many threads that call while others close: typed exceptions or right results, and an end in bounded time. */
class ConcurrencyTest {
    private static final Setting SETTING = Setting.causal(16).withGate(Activation.SIGMOID, Combination.MULTIPLY);
    private static final Sample.Shape[] SHAPES = {
        new Sample.Shape(1, 1, 70, 4, 2, 16, 16), new Sample.Shape(2, 33, 33, 4, 2, 16, 16)
    };
    private static final int PLACES = 8;
    private static final long SECONDS = 25;

    static Stream<Target> backends() {
        return Target.backends();
    }

    /** An attention and tensors that any thread may use and any thread may close. */
    private static final class Shared {
        final Arena arena = Arena.ofShared();
        final Sample sample;
        final GatedAttention attention;
        final PreparedForward prepared;

        Shared(Target target, Sample.Shape shape, int threads, Executor executor) {
            sample = Sample.of(arena, SETTING, DataType.F32, shape);
            attention =
                    sample.builder(target).threads(threads).executor(executor).build();
            prepared = attention.prepare(sample.operands());
        }
    }

    /** What all threads share, and what they found. */
    private static final class Arenas {
        final Target target;
        final Executor executor;
        final AtomicReferenceArray<Shared> places = new AtomicReferenceArray<>(PLACES);
        final byte[][] expected = new byte[SHAPES.length][];
        final ConcurrentLinkedQueue<String> wrong = new ConcurrentLinkedQueue<>();
        final AtomicInteger results = new AtomicInteger();
        final AtomicInteger refusals = new AtomicInteger();

        Arenas(Target target, Executor executor) {
            this.target = target;
            this.executor = executor;
            for (int n = 0; n < SHAPES.length; n++) {
                Shared alone = new Shared(target, SHAPES[n], 1, executor);
                alone.prepared.run();
                expected[n] = alone.sample.outputBytes();
                alone.attention.close();
                alone.arena.close();
            }
            for (int n = 0; n < PLACES; n++) {
                places.set(n, open(n));
            }
        }

        private Shared open(int n) {
            return new Shared(target, SHAPES[n % SHAPES.length], 1 + n % 3, executor);
        }

        /** One random deed. */
        void act(Random random) {
            int place = random.nextInt(PLACES);
            Shared shared = places.get(place);
            try {
                switch (random.nextInt(20)) {
                    case 0 -> shared.attention.close();
                    case 1 -> shared.arena.close();
                    case 2 -> {
                        if (places.compareAndSet(place, shared, open(place))) {
                            shared.attention.close();
                        }
                    }
                    case 3 -> shared.attention.explain(shared.sample.operands());
                    default -> call(shared, place, random);
                }
            } catch (IllegalStateException | GatedAttentionException e) {
                refusals.incrementAndGet();
                if (e instanceof GatedAttentionException g && g.status() == Status.INTERNAL) {
                    wrong.add(e.toString());
                }
            } catch (Throwable e) {
                wrong.add(e + " " + Arrays.toString(e.getStackTrace()));
            }
        }

        /** The result goes into memory of this thread alone, so that it can be compared. */
        private void call(Shared shared, int place, Random random) {
            try (Arena own = Arena.ofShared()) {
                Sample mine = shared.sample.with(ownOutputs(shared.sample.operands(), own));
                if (random.nextInt(4) == 0) {
                    shared.prepared.run(); // Into the shared output: races in its data are the caller's own.
                    return;
                }
                shared.attention.forward(mine.operands());
                if (!Arrays.equals(mine.outputBytes(), expected[place % SHAPES.length])) {
                    wrong.add("a result differs at place " + place);
                }
                results.incrementAndGet();
            }
        }

        private static Operands ownOutputs(Operands o, Arena own) {
            return Operands.of(
                            o.q(),
                            o.k(),
                            o.v(),
                            o.gate(),
                            Tensor.allocate(own, DataType.F32, o.out().shape()))
                    .withLse(Tensor.allocate(own, DataType.F32, o.lse().shape()));
        }

        void closeAll() {
            for (int n = 0; n < PLACES; n++) {
                places.get(n).attention.close();
                if (places.get(n).arena.scope().isAlive()) {
                    places.get(n).arena.close();
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    @Timeout(value = SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void sixtyFourPlatformThreads(Target target) throws InterruptedException {
        run(target, Thread.ofPlatform().daemon(), 64, 25, Runnable::run);
    }

    @ParameterizedTest
    @MethodSource("backends")
    @Timeout(value = SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void thousandVirtualThreads(Target target) throws InterruptedException {
        run(target, Thread.ofVirtual(), 1000, 4, Runnable::run);
    }

    /** Things close not only during calls, but also while calls wait for their turn. */
    @ParameterizedTest
    @MethodSource("backends")
    @Timeout(value = SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void thousandVirtualThreadsOnAnExecutor(Target target) throws InterruptedException {
        try (ExecutorService platform = Executors.newFixedThreadPool(3)) {
            run(target, Thread.ofVirtual(), 1000, 4, platform);
        }
    }

    /** The executor makes the calls of virtual threads. */
    private static void run(Target target, Thread.Builder builder, int threads, int deeds, Executor executor)
            throws InterruptedException {
        Arenas arenas = new Arenas(target, executor);
        CountDownLatch go = new CountDownLatch(1);
        List<Thread> started = new ArrayList<>();
        for (int n = 0; n < threads; n++) {
            Random random = new Random(n);
            started.add(builder.start(() -> {
                await(go);
                for (int deed = 0; deed < deeds; deed++) {
                    arenas.act(random);
                }
            }));
        }
        go.countDown();
        for (Thread thread : started) {
            thread.join();
        }
        arenas.closeAll();
        assertThat(arenas.wrong).isEmpty();
        assertThat(arenas.results.get()).as("right results").isPositive();
        assertThat(arenas.refusals.get()).as("refusals").isPositive();
    }

    private static void await(CountDownLatch latch) {
        try {
            latch.await();
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
        }
    }

    /** For as long as a call runs, the arenas of all its tensors refuse to close, and an attention's close waits. */
    @ParameterizedTest
    @MethodSource("backends")
    @Timeout(value = SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void arenasOfOthersStayOpenDuringACall(Target target) throws InterruptedException {
        Sample.Shape large = target.isPlainJava()
                ? new Sample.Shape(1, 400, 400, 8, 2, 64, 64)
                : new Sample.Shape(1, 4000, 4000, 8, 2, 64, 64);
        Setting setting = Setting.causal(64).withGate(Activation.SIGMOID, Combination.MULTIPLY);
        try (Arena arena = Arena.ofShared()) {
            Sample sample = Sample.of(arena, setting, DataType.F32, large);
            byte[] expected;
            try (GatedAttention attention = sample.builder(target).build()) {
                attention.forward(sample.operands());
                expected = sample.outputBytes();
            }
            for (int foreign = 0; foreign < 5; foreign++) {
                Arena other = Arena.ofShared();
                Sample mixed = sample.with(inArena(sample.operands(), other, foreign));
                closeDuring(target, mixed, other, expected);
            }
            for (int foreign = 0; foreign < Sequences.TENSORS; foreign++) {
                Arena other = Arena.ofShared();
                Sample mixed = sample.with(withFullSequences(sample.operands(), arena, other, foreign));
                closeDuring(target, mixed, other, expected);
            }
        }
    }

    /** Again where a busy machine let the call end before anybody tried to close the arena. */
    private static void closeDuring(Target target, Sample sample, Arena other, byte[] expected)
            throws InterruptedException {
        int calls = 1;
        while (!triesToCloseDuring(target, sample, other, expected)) {
            assertThat(calls++).as("calls that were over too soon").isLessThan(50);
        }
    }

    private static boolean triesToCloseDuring(Target target, Sample sample, Arena other, byte[] expected)
            throws InterruptedException {
        AtomicInteger refused = new AtomicInteger();
        boolean closed = false;
        byte[] result;
        try (GatedAttention attention = sample.builder(target).threads(2).build()) {
            CountDownLatch started = new CountDownLatch(1);
            ConcurrentLinkedQueue<Throwable> failures = new ConcurrentLinkedQueue<>();
            Thread caller = Thread.ofPlatform().start(() -> {
                started.countDown();
                try {
                    attention.forward(sample.operands());
                } catch (RuntimeException e) {
                    failures.add(e);
                }
            });
            started.await();
            TimeUnit.MILLISECONDS.sleep(5);
            while (caller.isAlive()) {
                try {
                    if (!closed) {
                        other.close();
                        closed = true;
                    }
                } catch (IllegalStateException e) {
                    refused.incrementAndGet();
                }
                Thread.onSpinWait();
            }
            caller.join();
            // The arena can close before the call takes hold of it, or after it has let go, never in between.
            if (closed && !failures.isEmpty()) {
                assertThat(failures).allMatch(e -> e instanceof IllegalStateException);
                return true;
            }
            assertThat(failures).isEmpty();
            if (!closed && refused.get() == 0) {
                return false;
            }
            assertThat(refused.get()).as("refused to close during the call").isPositive();
            result = closed ? null : sample.outputBytes();
        }
        if (!closed) {
            other.close();
        }
        if (result != null) {
            assertThat(result).isEqualTo(expected);
        }
        return true;
    }

    /** The operands with number {@code n} of them copied into another arena. */
    private static Operands inArena(Operands o, Arena arena, int n) {
        Tensor[] tensors = {o.q(), o.k(), o.v(), o.gate(), o.out()};
        Tensor copy = Tensor.allocate(arena, tensors[n].dataType(), tensors[n].shape());
        copy.copyFrom(tensors[n]);
        tensors[n] = copy;
        return Operands.of(tensors[0], tensors[1], tensors[2], tensors[3], tensors[4])
                .withLse(o.lse());
    }

    /** The same call, its one full sequence described by tensors of which number {@code n} lies in another arena. */
    private static Operands withFullSequences(Operands o, Arena arena, Arena other, int n) {
        int queries = (int) o.q().dim(1);
        int keys = (int) o.k().dim(1);
        if (n == 3 || n == 4) {
            return o.withSequences(Sequences.packed(
                    Tensor.copyOf(n == 3 ? other : arena, DataType.I32, new int[] {0, queries}, 2),
                    Tensor.copyOf(n == 4 ? other : arena, DataType.I32, new int[] {0, keys}, 2)));
        }
        int pages = keys / 100;
        int[] table = IntStream.range(0, pages).toArray();
        Tensor k = o.k().reshape(pages, 100, o.k().dim(2), o.k().dim(3));
        Tensor v = o.v().reshape(pages, 100, o.v().dim(2), o.v().dim(3));
        return Operands.of(o.q(), k, v, o.gate(), o.out())
                .withLse(o.lse())
                .withSequences(new Sequences(
                        Tensor.copyOf(n == 0 ? other : arena, DataType.I32, new int[] {queries}, 1),
                        Tensor.copyOf(n == 1 ? other : arena, DataType.I32, new int[] {keys}, 1),
                        Tensor.copyOf(n == 2 ? other : arena, DataType.I32, new int[] {0}, 1),
                        null,
                        null,
                        Tensor.copyOf(n == 5 ? other : arena, DataType.I32, table, 1, pages)));
    }

    /** Lengths and pages that another thread scribbles over during calls: a typed refusal or some result, no wild access. */
    @ParameterizedTest
    @MethodSource("backends")
    @Timeout(value = SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void sequencesThatChangeDuringACall(Target target) throws InterruptedException {
        try (Arena arena = Arena.ofShared()) {
            Sample sample = Sample.of(arena, SETTING, DataType.F32, new Sample.Shape(4, 3, 300, 4, 2, 16, 16));
            Tensor lengths = Tensor.copyOf(arena, DataType.I32, new int[] {300, 300, 300, 300}, 4);
            Tensor table = Tensor.copyOf(arena, DataType.I32, new int[12], 4, 3);
            AtomicInteger stop = new AtomicInteger();
            Thread scribbler = Thread.ofPlatform().start(() -> {
                int[] values = {300, 0, 7, Integer.MAX_VALUE, -1, 301, 299, 1 << 24};
                for (int n = 0; stop.get() == 0; n++) {
                    lengths.setInt(values[n % values.length], n % 4);
                    table.setInt(values[n % values.length] / 100, n % 4, n % 3);
                }
            });
            try (GatedAttention attention = sample.builder(target).threads(2).build()) {
                Operands o = sample.operands();
                Operands dense = o.withKeyLengths(lengths);
                Operands paged = Operands.of(
                                o.q(), o.k().reshape(12, 100, 2, 16), o.v().reshape(12, 100, 2, 16), o.gate(), o.out())
                        .withSequences(Sequences.paged(table, lengths));
                for (int n = 0; n < 600; n++) {
                    try {
                        attention.forward(n % 2 == 0 ? dense : paged);
                    } catch (IllegalArgumentException | GatedAttentionException e) {
                        assertThat(e.getMessage()).containsPattern("[lL]engths|block_?[tT]able");
                    }
                }
            } finally {
                stop.set(1);
                scribbler.join();
            }
        }
    }
}
