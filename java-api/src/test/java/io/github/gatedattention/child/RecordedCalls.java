package io.github.gatedattention.child;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.management.ThreadMXBean;
import io.github.gatedattention.Activation;
import io.github.gatedattention.Backend;
import io.github.gatedattention.Combination;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Plan;
import io.github.gatedattention.PreparedForward;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.Consumer;
import jdk.jfr.Recording;
import jdk.jfr.consumer.RecordedEvent;
import jdk.jfr.consumer.RecordingFile;

/** Calls in every way under recordings that want them, want only slow ones, or want none: what is recorded is the plan. */
public final class RecordedCalls {
    private static final String EVENT = "io.github.gatedattention.Forward";
    private static final Setting SETTING = Setting.causal(64).withGate(Activation.SIGMOID, Combination.MULTIPLY);
    private static final Sample.Shape SHAPE = new Sample.Shape(2, 3, 40, 4, 2, 64, 32);
    private static final int CALLS = 10_000;

    private RecordedCalls() {}

    public static void main(String[] arguments) throws IOException, InterruptedException {
        try (Arena arena = Arena.ofShared()) {
            for (Target target : Target.backends().toList()) {
                Sample sample = Sample.of(arena, SETTING, DataType.F32, SHAPE);
                Operands operands =
                        sample.operands().withKeyLengths(Tensor.copyOf(arena, DataType.I32, new int[] {40, 17}, 2));
                Sample lengths = sample.with(operands);
                boolean isJava = target.backend().name().equals(Backend.java().name());
                if (!isJava) {
                    nothingIsAllocated(lengths, target); // before any recording
                }
                everyCall(lengths, target);
                callsThatFail(lengths, target);
                slowCallsOnly(lengths, target);
                onAnExecutor(lengths, target);
                closedBeforeItsEvent(lengths, target);
                if (!isJava) {
                    nothingIsAllocated(lengths, target); // after recordings
                }
            }
        }
        System.out.println("all right");
    }

    private static List<RecordedEvent> events(Consumer<Recording> settings, Runnable calls) throws IOException {
        Path file = Files.createTempFile("calls", ".jfr");
        try (Recording recording = new Recording()) {
            settings.accept(recording);
            recording.start();
            calls.run();
            recording.stop();
            recording.dump(file);
            return RecordingFile.readAllEvents(file).stream()
                    .filter(event -> event.getEventType().getName().equals(EVENT))
                    .toList();
        } finally {
            Files.delete(file);
        }
    }

    private static void everyCall(Sample sample, Target target) throws IOException {
        Operands o = sample.operands();
        try (GatedAttention attention = sample.builder(target).build()) {
            PreparedForward prepared = attention.prepare(o);
            sample.spoilOutputs();
            attention.forward(o);
            byte[] expected = sample.outputBytes();
            sample.spoilOutputs();
            List<RecordedEvent> events =
                    events(recording -> recording.enable(EVENT).withStackTrace(), () -> {
                        attention.forward(o.q(), o.k(), o.v(), o.gate(), o.out());
                        attention.forward(o);
                        sample.spoilOutputs();
                        prepared.run();
                    });
            assertThat(sample.outputBytes()).as("recording changes no result").isEqualTo(expected);
            assertThat(events).hasSize(3);
            Operands usual = Operands.of(o.q(), o.k(), o.v(), o.gate(), o.out());
            check(events.get(0), attention.explain(usual), target);
            check(events.get(1), attention.explain(o), target);
            check(events.get(2), attention.explain(o), target);
            assertThat(events.get(0).getStackTrace().getFrames())
                    .anyMatch(frame -> frame.getMethod().getType().getName().equals(RecordedCalls.class.getName()));
        }
    }

    private static void check(RecordedEvent event, Plan plan, Target target) {
        assertThat(event.getString("backend"))
                .isEqualTo(plan.backend())
                .isEqualTo(target.backend().name());
        assertThat(event.getString("kernel")).isEqualTo(plan.kernel());
        assertThat(event.getString("instructionSet"))
                .isEqualTo(plan.instructionSet().name());
        assertThat(event.getString("dataType")).isEqualTo("F32");
        assertThat(event.getInt("threads")).isEqualTo(plan.threads());
        assertThat(event.getLong("batch")).isEqualTo(2);
        assertThat(event.getLong("queries")).isEqualTo(3);
        assertThat(event.getLong("keys")).isEqualTo(40);
        assertThat(event.getInt("queryHeads")).isEqualTo(4);
        assertThat(event.getInt("keyValueHeads")).isEqualTo(2);
        assertThat(event.getInt("headDim")).isEqualTo(64);
        assertThat(event.getInt("valueHeadDim")).isEqualTo(32);
        assertThat(event.getInt("queryBlock")).isEqualTo(plan.queryBlock());
        assertThat(event.getInt("keyBlock")).isEqualTo(plan.keyBlock());
        assertThat(event.getLong("tasks")).isEqualTo(plan.tasks());
        assertThat(event.getLong("workspace")).isEqualTo(plan.workspaceBytes());
        assertThat(event.getLong("flop")).isEqualTo(plan.flop());
        assertThat(event.getLong("dataMoved")).isEqualTo(plan.bytes());
        assertThat(event.getLong("executorWait")).isZero();
        assertThat(event.getDuration()).isPositive();
        assertThat(event.getThread().getJavaName()).isEqualTo("main");
    }

    /** They throw what they throw without a recording, and leave no event. */
    private static void callsThatFail(Sample sample, Target target) throws IOException {
        GatedAttention attention = sample.builder(target).build();
        PreparedForward prepared = attention.prepare(sample.operands());
        Operands o = sample.operands();
        Operands wrong = Operands.of(o.q(), o.k(), o.v(), null, o.out());
        assertThat(events(recording -> recording.enable(EVENT), () -> {
                    assertThatThrownBy(() -> attention.forward(wrong))
                            .isExactlyInstanceOf(IllegalArgumentException.class)
                            .hasMessageStartingWith("gate is null");
                    attention.close();
                    assertThatThrownBy(prepared::run)
                            .isExactlyInstanceOf(IllegalStateException.class)
                            .hasMessage("this GatedAttention is closed; build another one");
                }))
                .isEmpty();
    }

    private static void slowCallsOnly(Sample sample, Target target) throws IOException {
        try (GatedAttention attention = sample.builder(target).build()) {
            assertThat(events(
                            recording -> recording.enable(EVENT).withThreshold(Duration.ofHours(1)),
                            () -> attention.forward(sample.operands())))
                    .isEmpty();
            assertThat(events(recording -> recording.disable(EVENT), () -> attention.forward(sample.operands())))
                    .isEmpty();
        }
    }

    /** The event is the caller's; how long the executor let it wait is part of its duration, and told apart. */
    private static void onAnExecutor(Sample sample, Target target) throws IOException {
        Executor late = task -> Thread.ofPlatform().start(() -> {
            try {
                TimeUnit.MILLISECONDS.sleep(20);
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
            task.run();
        });
        try (GatedAttention attention = sample.builder(target).executor(late).build()) {
            RecordedEvent event = inVirtualThread("caller", () -> attention.forward(sample.operands()));
            assertThat(event.getThread().getJavaName()).isEqualTo("caller");
            assertThat(event.getDuration("executorWait")).isBetween(Duration.ofMillis(20), event.getDuration());
            assertThat(event.getString("kernel"))
                    .isEqualTo(attention.explain(sample.operands()).kernel());
        }
    }

    /** The first event of calls in a virtual thread, which end well. */
    private static RecordedEvent inVirtualThread(String name, Runnable calls) throws IOException {
        AtomicReference<Throwable> failure = new AtomicReference<>();
        Thread caller = Thread.ofVirtual()
                .name(name)
                .uncaughtExceptionHandler((thread, e) -> failure.set(e))
                .unstarted(calls);
        List<RecordedEvent> events = events(recording -> recording.enable(EVENT), () -> {
            caller.start();
            try {
                caller.join();
            } catch (InterruptedException e) {
                throw new IllegalStateException(e);
            }
        });
        assertThat(failure.get()).isNull();
        return events.getFirst();
    }

    /** Closed as soon as the call has ended: the call is recorded, and its plan is nobody's to ask for. */
    private static void closedBeforeItsEvent(Sample sample, Target target) throws IOException {
        GatedAttention[] attention = new GatedAttention[1];
        Executor closing = task -> {
            task.run();
            attention[0].close();
        };
        attention[0] = sample.builder(target).executor(closing).build();
        RecordedEvent event = inVirtualThread("caller", () -> attention[0].forward(sample.operands()));
        assertThat(event.getString("backend")).isEqualTo(target.backend().name());
        assertThat(event.getLong("keys")).isEqualTo(40);
        assertThat(event.getString("kernel")).isNull();
        assertThat(event.getLong("flop")).isZero();
    }

    /** Off is free, also once Flight Recorder has been at work in this JVM. */
    private static void nothingIsAllocated(Sample sample, Target target) {
        ThreadMXBean threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        try (GatedAttention attention = sample.builder(target).build()) {
            PreparedForward prepared = attention.prepare(sample.operands());
            long least = Long.MAX_VALUE;
            for (int round = 0; round < 8; round++) {
                long before = threads.getCurrentThreadAllocatedBytes();
                for (int n = 0; n < CALLS; n++) {
                    attention.forward(sample.operands());
                    prepared.run();
                }
                least = Math.min(least, threads.getCurrentThreadAllocatedBytes() - before);
            }
            assertThat(least).as("bytes allocated by %s calls", CALLS).isZero();
        }
    }
}
