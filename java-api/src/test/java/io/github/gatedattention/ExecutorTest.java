package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.gatedattention.child.OneCarrier;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.ChildJvm;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Calls of virtual threads on an executor: who makes them, what they throw, and what ends the wait. */
@Timeout(value = 60, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ExecutorTest {
    private static final Setting SETTING = Setting.causal(16).withGate(Activation.SIGMOID, Combination.MULTIPLY);
    private static final Sample.Shape SHAPE = new Sample.Shape(2, 5, 9, 4, 2, 16, 16);

    private final Arena arena = Arena.ofShared();
    private final Sample sample = Sample.of(arena, SETTING, DataType.F32, SHAPE);
    private final Operands operands = sample.operands();
    private final byte[] untouched = sample.outputBytes();
    /** Calls that wait until a test runs them. */
    private final BlockingQueue<Runnable> queue = new LinkedBlockingQueue<>();

    private final Executor queueing = queue::add;

    @AfterEach
    void close() {
        if (arena.scope().isAlive()) {
            arena.close();
        }
    }

    static Stream<Target> backends() {
        return Target.backends();
    }

    private GatedAttention attention(Target target, Executor executor) {
        return sample.builder(target).executor(executor).build();
    }

    /** The result of the same call without an executor. */
    private byte[] expected(Target target) {
        try (GatedAttention direct = sample.builder(target).build()) {
            direct.forward(operands);
            byte[] bytes = sample.outputBytes();
            sample.spoilOutputs();
            return bytes;
        }
    }

    /** Runs a call in a virtual thread and gives what it threw, or null. */
    private static CompletableFuture<Throwable> inVirtualThread(Runnable call) {
        CompletableFuture<Throwable> end = new CompletableFuture<>();
        Thread.ofVirtual().start(() -> {
            try {
                call.run();
                end.complete(null);
            } catch (Throwable e) {
                end.complete(e);
            }
        });
        return end;
    }

    @ParameterizedTest
    @MethodSource("backends")
    void callsOfVirtualThreadsAreMadeByTheExecutor(Target target) {
        byte[] expected = expected(target);
        AtomicInteger made = new AtomicInteger();
        Executor counting = task -> {
            made.incrementAndGet();
            Thread.ofPlatform().start(task);
        };
        try (GatedAttention attention = attention(target, counting)) {
            PreparedForward prepared = attention.prepare(operands);
            List<Runnable> ways = List.of(
                    () -> attention.forward(operands),
                    prepared::run,
                    () -> attention.forward(operands.q(), operands.k(), operands.v(), operands.gate(), operands.out()));
            for (int n = 0; n < ways.size(); n++) {
                sample.spoilOutputs();
                assertThat(inVirtualThread(ways.get(n)).join()).isNull();
                assertThat(made.get()).isEqualTo(n + 1);
                byte[] out = Arrays.copyOf(expected, 2 * 5 * 4 * 16 * Float.BYTES);
                assertThat(sample.outputBytes()).startsWith(out);
            }
            inVirtualThread(() -> attention.explain(operands)).join();
            inVirtualThread(() -> attention.prepare(operands)).join();
            assertThat(made.get()).isEqualTo(ways.size());
        }
    }

    /** Also in confined memory. */
    @ParameterizedTest
    @MethodSource("backends")
    void callsOfPlatformThreadsStayThere(Target target) {
        Executor none = task -> {
            throw new AssertionError("nothing is handed over");
        };
        try (Arena confined = Arena.ofConfined();
                GatedAttention attention = attention(target, none)) {
            Sample own = Sample.of(confined, SETTING, DataType.F32, SHAPE);
            attention.forward(own.operands());
            byte[] result = own.outputBytes();
            own.spoilOutputs();
            attention.prepare(own.operands()).run();
            assertThat(own.outputBytes()).isEqualTo(result).isEqualTo(expected(target));
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void whatTheCallThrowsReachesTheCaller(Target target) {
        try (ExecutorService platform = Executors.newSingleThreadExecutor();
                GatedAttention attention = attention(target, platform)) {
            Tensor narrow = Tensor.allocate(arena, DataType.F32, 2, 5, 4, 8);
            Throwable wrongShape = inVirtualThread(() ->
                            attention.forward(narrow, operands.k(), operands.v(), operands.gate(), operands.out()))
                    .join();
            assertThat(wrongShape)
                    .isExactlyInstanceOf(IllegalArgumentException.class)
                    .hasMessage("q has 8 elements on axis 3, but headDim is 16");
            assertThat(Arrays.stream(wrongShape.getSuppressed()[0].getStackTrace()))
                    .as("who called")
                    .anyMatch(frame -> frame.getClassName().equals(ExecutorTest.class.getName()));

            Tensor lengths = Tensor.copyOf(arena, DataType.I32, new int[] {9, 10}, 2);
            PreparedForward tooLong = attention.prepare(operands.withKeyLengths(lengths));
            assertThat(inVirtualThread(tooLong::run).join())
                    .isExactlyInstanceOf(IllegalArgumentException.class)
                    .hasMessage("keyLengths[1] is 10, but must be 0 to 9, the keys of k");
            attention.close();
            assertThat(inVirtualThread(() -> attention.forward(operands)).join())
                    .isExactlyInstanceOf(IllegalStateException.class)
                    .hasMessage("this GatedAttention is closed; build another one");
            assertThat(sample.outputBytes()).isEqualTo(untouched);
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void confinedMemoryIsRefusedBeforeTheCallWaits(Target target) {
        try (GatedAttention attention = attention(target, queueing)) {
            Throwable thrown = inVirtualThread(() -> {
                        try (Arena confined = Arena.ofConfined()) {
                            Tensor v = Tensor.allocate(
                                    confined, DataType.F32, operands.v().shape());
                            Operands mixed =
                                    Operands.of(operands.q(), operands.k(), v, operands.gate(), operands.out());
                            assertThatThrownBy(() -> attention.prepare(mixed).run())
                                    .isInstanceOf(WrongThreadException.class);
                            attention.forward(mixed);
                        }
                    })
                    .join();
            assertThat(thrown)
                    .isExactlyInstanceOf(WrongThreadException.class)
                    .hasMessage("v belongs to a confined arena, which the threads of this GatedAttention's executor"
                            + " cannot reach; allocate it from Arena.ofShared()");
            assertThat(queue).isEmpty();
        }
    }

    /** Memory that no scope ends is for all threads. */
    @ParameterizedTest
    @MethodSource("backends")
    void automaticMemoryWillDo(Target target) {
        byte[] expected = expected(target);
        Sample automatic = Sample.of(Arena.ofAuto(), SETTING, DataType.F32, SHAPE);
        try (ExecutorService platform = Executors.newSingleThreadExecutor();
                GatedAttention attention = attention(target, platform)) {
            assertThat(inVirtualThread(() -> attention.forward(automatic.operands()))
                            .join())
                    .isNull();
            assertThat(automatic.outputBytes()).isEqualTo(expected);
        }
    }

    /** Before the call begins, while it waits, and with the flag set already: the call is made, and the flag stays. */
    @ParameterizedTest
    @MethodSource("backends")
    void interruptsWaitForTheCall(Target target) throws InterruptedException {
        byte[] expected = expected(target);
        try (GatedAttention attention = attention(target, queueing)) {
            for (boolean before : new boolean[] {true, false}) {
                sample.spoilOutputs();
                CompletableFuture<Boolean> flag = new CompletableFuture<>();
                Thread caller = Thread.ofVirtual().start(() -> {
                    if (before) {
                        Thread.currentThread().interrupt();
                    }
                    try {
                        attention.forward(operands);
                        flag.complete(Thread.currentThread().isInterrupted());
                    } catch (Throwable e) {
                        flag.completeExceptionally(e);
                    }
                });
                Runnable call = queue.take();
                while (caller.getState() != Thread.State.WAITING) {
                    Thread.onSpinWait();
                }
                caller.interrupt();
                assertThat(caller.join(Duration.ofMillis(50)))
                        .as("the call has not begun, so its caller waits")
                        .isFalse();
                assertThat(sample.outputBytes()).isEqualTo(untouched);
                call.run();
                assertThat(flag.join()).isTrue();
                assertThat(sample.outputBytes()).isEqualTo(expected);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void closedWhileCallsWait(Target target) throws InterruptedException {
        GatedAttention attention = attention(target, queueing);
        PreparedForward prepared = attention.prepare(operands);
        List<CompletableFuture<Throwable>> ends = new ArrayList<>();
        List<Runnable> calls = new ArrayList<>();
        for (int n = 0; n < 20; n++) {
            ends.add(inVirtualThread(n % 2 == 0 ? prepared::run : () -> attention.forward(operands)));
            calls.add(queue.take());
        }
        attention.close();
        calls.forEach(Runnable::run);
        for (CompletableFuture<Throwable> end : ends) {
            assertThat(end.join())
                    .isExactlyInstanceOf(IllegalStateException.class)
                    .hasMessage("this GatedAttention is closed; build another one");
        }
        assertThat(sample.outputBytes()).isEqualTo(untouched);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void arenaClosedWhileACallWaits(Target target) throws InterruptedException {
        try (GatedAttention attention = attention(target, queueing)) {
            CompletableFuture<Throwable> end = inVirtualThread(() -> attention.forward(operands));
            Runnable call = queue.take();
            arena.close();
            call.run();
            assertThat(end.join())
                    .isExactlyInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("losed");
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void anExecutorThatRefuses(Target target) {
        ExecutorService ended = Executors.newSingleThreadExecutor();
        ended.shutdown();
        RuntimeException broken = new IllegalMonitorStateException("of the executor");
        Executor failing = task -> {
            throw broken;
        };
        try (GatedAttention refused = attention(target, ended);
                GatedAttention failed = attention(target, failing)) {
            assertThat(inVirtualThread(() -> refused.forward(operands)).join())
                    .isExactlyInstanceOf(RejectedExecutionException.class)
                    .hasMessageStartingWith("the executor of this GatedAttention refused the call: ")
                    .hasMessageContaining("Terminated")
                    .hasCauseExactlyInstanceOf(RejectedExecutionException.class);
            assertThat(inVirtualThread(refused.prepare(operands)::run).join())
                    .isExactlyInstanceOf(RejectedExecutionException.class);
            assertThat(inVirtualThread(() -> failed.forward(operands)).join()).isSameAs(broken);
            assertThat(sample.outputBytes()).isEqualTo(untouched);
            refused.forward(operands); // this thread is a platform thread
        }
    }

    /** A pool that fails after it has queued the call: its caller is gone when the call's turn comes. */
    @ParameterizedTest
    @MethodSource("backends")
    void anExecutorThatQueuesAndFails(Target target) {
        OutOfMemoryError noThread = new OutOfMemoryError("unable to create native thread");
        Executor both = task -> {
            queue.add(task);
            throw noThread;
        };
        try (GatedAttention attention = attention(target, both)) {
            assertThat(inVirtualThread(() -> attention.forward(operands)).join())
                    .isSameAs(noThread);
            queue.remove().run();
            assertThat(sample.outputBytes()).isEqualTo(untouched);
        }
    }

    /** {@code shutdownNow} takes the calls out of the queue and runs them never. */
    @ParameterizedTest
    @MethodSource("backends")
    void anExecutorThatEndsWithCallsInItsQueue(Target target) throws InterruptedException {
        ExecutorService busy = Executors.newSingleThreadExecutor();
        CountDownLatch release = new CountDownLatch(1);
        CountDownLatch started = new CountDownLatch(1);
        busy.execute(() -> {
            started.countDown();
            while (release.getCount() > 0) {
                Thread.onSpinWait(); // deaf to interrupts, as a native call is
            }
        });
        started.await();
        try (GatedAttention attention = attention(target, busy)) {
            CompletableFuture<Throwable> end = inVirtualThread(() -> attention.forward(operands));
            List<Runnable> neverRun = new ArrayList<>();
            while (neverRun.isEmpty()) {
                TimeUnit.MILLISECONDS.sleep(10); // the call may not have reached the queue yet
                neverRun.addAll(busy.shutdownNow());
                if (end.isDone()) {
                    break; // refused at the door
                }
            }
            assertThat(end.isDone()).isEqualTo(neverRun.isEmpty());
            release.countDown();
            assertThat(end.join()).isExactlyInstanceOf(RejectedExecutionException.class);
            neverRun.forEach(Runnable::run);
            assertThat(sample.outputBytes()).isEqualTo(untouched);
        }
    }

    /** A task runs on the caller's own thread when its pool is full, and so does every task of a simple executor. */
    @ParameterizedTest
    @MethodSource("backends")
    void anExecutorThatRunsTasksInTheCaller(Target target) {
        byte[] expected = expected(target);
        try (GatedAttention attention = attention(target, Runnable::run)) {
            assertThat(inVirtualThread(() -> attention.forward(operands)).join())
                    .isNull();
            assertThat(sample.outputBytes()).isEqualTo(expected);
        }
    }

    /** What it is all for, in a JVM whose virtual threads share one carrier. */
    @Test
    void thousandVirtualThreadsOnOneCarrier() {
        ChildJvm.Result result = ChildJvm.run(
                List.of("-Djdk.virtualThreadScheduler.parallelism=1", "-Djdk.virtualThreadScheduler.maxPoolSize=1"),
                OneCarrier.class);
        assertThat(result.exit()).as(result.output()).isZero();
        assertThat(result.output()).contains("all right");
    }
}
