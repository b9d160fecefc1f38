package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.GradientSample;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Backward calls while others call, close and scribble: typed exceptions or right gradients, and an end in bounded time. */
class BackwardConcurrencyTest {
    private static final Setting SETTING = Setting.causal(16)
            .withGate(Activation.SIGMOID, Combination.MULTIPLY)
            .withPre(Setting.Pre.RMS_NORM, 1e-5f);
    private static final Sample.Shape SHAPE = new Sample.Shape(2, 33, 33, 4, 2, 16, 16);
    private static final int PLACES = 6;
    private static final long SECONDS = 25;

    static Stream<Target> backends() {
        return Target.backends();
    }

    /** An attention and operands that any thread may use and any thread may close. */
    private static final class Shared {
        final Arena arena = Arena.ofShared();
        final GradientSample sample;
        final GatedAttention attention;

        Shared(Target target, int threads) {
            sample = GradientSample.of(arena, Sample.of(arena, SETTING, DataType.F32, SHAPE), target);
            attention = sample.builder(target).threads(threads).build();
        }

        /** The same operands with gradients that nobody else writes. */
        GradientSample withOwnGradients(Arena own) {
            BackwardOperands o = sample.operands();
            return sample.with(BackwardOperands.of(
                            o.forward(),
                            o.dOut(),
                            like(o.dQ(), own),
                            like(o.dK(), own),
                            like(o.dV(), own),
                            like(o.dGate(), own))
                    .withDNormWeight(like(o.dNormWeight(), own)));
        }
    }

    private static @Nullable Tensor like(@Nullable Tensor tensor, Arena arena) {
        return tensor == null ? null : Tensor.allocate(arena, tensor.dataType(), tensor.shape());
    }

    @ParameterizedTest
    @MethodSource("backends")
    @Timeout(value = SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void manyThreadsCallWhileOthersClose(Target target) throws InterruptedException {
        AtomicReferenceArray<Shared> places = new AtomicReferenceArray<>(PLACES);
        for (int n = 0; n < PLACES; n++) {
            places.set(n, new Shared(target, 1 + n % 3));
        }
        byte[] expected = places.get(0).sample.run(target, 1);
        ConcurrentLinkedQueue<String> wrong = new ConcurrentLinkedQueue<>();
        AtomicInteger right = new AtomicInteger();
        AtomicInteger refused = new AtomicInteger();
        List<Thread> threads = new ArrayList<>();
        for (int n = 0; n < 24; n++) {
            Random random = new Random(n);
            threads.add(Thread.ofPlatform().start(() -> {
                for (int deed = 0; deed < 20; deed++) {
                    int place = random.nextInt(PLACES);
                    Shared shared = places.get(place);
                    try (Arena own = Arena.ofShared()) {
                        switch (random.nextInt(16)) {
                            case 0 -> shared.attention.close();
                            case 1 -> shared.arena.close();
                            case 2 -> places.compareAndSet(place, shared, new Shared(target, 1 + place % 3));
                            default -> {
                                GradientSample mine = shared.withOwnGradients(own);
                                shared.attention.backward(mine.operands());
                                (Arrays.equals(mine.bytes(), expected) ? right : refused).incrementAndGet();
                                if (!Arrays.equals(mine.bytes(), expected)) {
                                    wrong.add("a gradient differs at place " + place);
                                }
                            }
                        }
                    } catch (IllegalStateException e) {
                        refused.incrementAndGet();
                    } catch (Throwable e) {
                        wrong.add(e + " " + Arrays.toString(e.getStackTrace()));
                    }
                }
            }));
        }
        for (Thread thread : threads) {
            thread.join();
        }
        for (int n = 0; n < PLACES; n++) {
            places.get(n).attention.close();
        }
        assertThat(wrong).isEmpty();
        assertThat(right.get()).as("right gradients").isPositive();
        assertThat(refused.get()).as("refusals").isPositive();
    }

    /** The arena of any tensor stays open for as long as a call runs, or the call says that it was closed. */
    @ParameterizedTest
    @MethodSource("backends")
    @Timeout(value = 2 * SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void arenasThatCloseDuringACall(Target target) throws InterruptedException {
        int length = target.isJava() ? 300 : 1500;
        try (Arena arena = Arena.ofShared()) {
            Sample plain = Sample.of(arena, SETTING, DataType.F32, new Sample.Shape(1, length, length, 4, 2, 16, 16));
            Tensor sink = Tensor.copyOf(arena, DataType.F32, new float[] {1, 2, 3, 4}, 4);
            Operands o = plain.operands()
                    .withSink(sink)
                    .withSequences(new Sequences(
                            numbers(arena, length), numbers(arena, length), numbers(arena, 0), null, null, null));
            GradientSample sample = GradientSample.of(arena, plain.with(o.withSequences(null)), target);
            BackwardOperands operands =
                    sample.operands().withUngated(like(o.out(), arena)).withSequences(o.sequences());
            operands.ungated().copyFrom(o.out());
            try (GatedAttention attention = sample.builder(target).build()) {
                for (int n = 0; n < BackwardOperands.TENSORS; n++) {
                    if (operands.tensor(n) != null) {
                        closeDuring(attention, operands, n);
                    }
                }
            }
        }
    }

    private static Tensor numbers(Arena arena, int number) {
        return Tensor.copyOf(arena, DataType.I32, new int[] {number}, 1);
    }

    private static void closeDuring(GatedAttention attention, BackwardOperands operands, int n)
            throws InterruptedException {
        Arena other = Arena.ofShared();
        Tensor[] tensors = new Tensor[BackwardOperands.TENSORS];
        for (int t = 0; t < tensors.length; t++) {
            tensors[t] = operands.tensor(t);
        }
        Tensor copy = Tensor.allocate(other, tensors[n].dataType(), tensors[n].shape());
        copy.copyFrom(tensors[n]);
        tensors[n] = copy;
        BackwardOperands mixed = new BackwardOperands(
                new Operands(
                        tensors[0],
                        tensors[1],
                        tensors[2],
                        tensors[3],
                        tensors[4],
                        tensors[5],
                        new Sequences(tensors[16], tensors[17], tensors[18], null, null, null),
                        tensors[6],
                        tensors[7],
                        null),
                tensors[8],
                tensors[9],
                tensors[10],
                tensors[11],
                tensors[12],
                tensors[13],
                tensors[14],
                tensors[15]);
        CompletableFuture<Throwable> end = new CompletableFuture<>();
        CountDownLatch started = new CountDownLatch(1);
        Thread.ofPlatform().start(() -> {
            started.countDown();
            try {
                attention.backward(mixed);
                end.complete(null);
            } catch (Throwable e) {
                end.complete(e);
            }
        });
        started.await();
        TimeUnit.MILLISECONDS.sleep(1);
        boolean closed = false;
        while (!end.isDone()) {
            try {
                if (!closed) {
                    other.close();
                    closed = true;
                }
            } catch (IllegalStateException e) {
                Thread.onSpinWait(); // the call holds it
            }
        }
        Throwable thrown = end.join();
        assertThat(thrown == null || (closed && thrown instanceof IllegalStateException))
                .as("%s: %s", BackwardOperands.name(n), thrown)
                .isTrue();
        if (!closed) {
            other.close();
        }
    }

    /** Lengths that another thread scribbles over: a typed refusal or some result, no wild access. */
    @ParameterizedTest
    @MethodSource("backends")
    @Timeout(value = SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void lengthsThatChangeDuringACall(Target target) throws InterruptedException {
        try (Arena arena = Arena.ofShared()) {
            GradientSample sample = GradientSample.of(
                    arena, Sample.of(arena, SETTING, DataType.F32, new Sample.Shape(4, 3, 90, 4, 2, 16, 16)), target);
            Tensor lengths = Tensor.copyOf(arena, DataType.I32, new int[] {90, 90, 90, 90}, 4);
            BackwardOperands operands = sample.operands().withSequences(Sequences.padded(null, lengths));
            AtomicBoolean stop = new AtomicBoolean();
            Thread scribbler = Thread.ofPlatform().start(() -> {
                int[] values = {90, 0, 7, Integer.MAX_VALUE, -1, 91, 89, 1 << 24};
                for (int n = 0; !stop.get(); n++) {
                    lengths.setInt(values[n % values.length], n % 4);
                }
            });
            try (GatedAttention attention = sample.builder(target).threads(2).build()) {
                for (int n = 0; n < 300; n++) {
                    try {
                        attention.backward(operands);
                    } catch (IllegalArgumentException | GatedAttentionException e) {
                        assertThat(e.getMessage()).containsPattern("key_?[lL]engths");
                    }
                }
            } finally {
                stop.set(true);
                scribbler.join();
            }
        }
    }

    /** Calls of virtual threads are the executor's, which confined memory is closed to. */
    @ParameterizedTest
    @MethodSource("backends")
    @Timeout(value = SECONDS, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
    void callsOfVirtualThreads(Target target) throws InterruptedException {
        AtomicInteger made = new AtomicInteger();
        Executor counting = task -> {
            made.incrementAndGet();
            Thread.ofPlatform().start(task);
        };
        try (Arena arena = Arena.ofShared();
                Arena confined = Arena.ofConfined()) {
            GradientSample sample = GradientSample.of(arena, Sample.of(arena, SETTING, DataType.F32, SHAPE), target);
            byte[] expected = sample.run(target, 2);
            sample.spoil();
            Tensor dQ = like(sample.operands().dQ(), confined);
            try (GatedAttention attention =
                    sample.builder(target).executor(counting).build()) {
                attention.backward(sample.operands());
                assertThat(made.get()).isZero();
                assertThat(Arrays.equals(sample.bytes(), expected)).isTrue();
                sample.spoil();
                ConcurrentLinkedQueue<Throwable> thrown = new ConcurrentLinkedQueue<>();
                Thread.ofVirtual()
                        .start(() -> {
                            attention.backward(sample.operands());
                            try {
                                attention.backward(sample.operands().withDQ(dQ));
                            } catch (WrongThreadException e) {
                                thrown.add(e);
                            }
                        })
                        .join();
                assertThat(made.get()).isEqualTo(1);
                assertThat(Arrays.equals(sample.bytes(), expected)).isTrue();
                assertThat(thrown).singleElement().satisfies(e -> assertThat(e).hasMessageContaining("dQ"));
            }
        }
    }
}
