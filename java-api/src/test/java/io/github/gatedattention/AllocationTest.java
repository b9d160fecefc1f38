package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;

import com.sun.management.ThreadMXBean;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.GradientSample;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.lang.management.ManagementFactory;
import java.time.Duration;
import java.util.function.LongSupplier;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.MethodSource;

/** A warm call allocates nothing on the Java heap, whichever way it is made. */
@DisabledIfSystemProperty(named = "ga.native", matches = "false")
class AllocationTest {
    private static final ThreadMXBean THREADS = (ThreadMXBean) ManagementFactory.getThreadMXBean();
    private static final Setting SETTING = Setting.causal(64)
            .withGate(Activation.SIGMOID, Combination.MULTIPLY)
            .withPre(Setting.Pre.RMS_NORM, 1e-6f);
    private static final int MANY = 10_000;
    private static final int FEW = 100;
    private static final int ROUNDS = 5;
    private static final Duration MOST_WARM_UP = Duration.ofSeconds(30);

    /** The least that this thread allocates in {@link #MANY} calls. */
    private static long bytes(Runnable call) {
        return least(call, MANY, THREADS::getCurrentThreadAllocatedBytes);
    }

    /** The least that all threads allocate in {@link #FEW} calls, which take longer. */
    private static long bytesOfAllThreads(Runnable call) {
        return least(call, FEW, THREADS::getTotalThreadAllocatedBytes);
    }

    /**
     * What calls allocate, they allocate in every round; the JIT, deoptimizing now and then, does not. It compiles in the
     * background, later on a busy machine: rounds that allocate are warm-up as long as that may take.
     */
    private static long least(Runnable call, int calls, LongSupplier allocated) {
        long end = System.nanoTime() + MOST_WARM_UP.toNanos();
        long least = Long.MAX_VALUE;
        for (int round = 0; least > 0 && (round < ROUNDS || System.nanoTime() < end); round++) {
            long before = allocated.getAsLong();
            for (int n = 0; n < calls; n++) {
                call.run();
            }
            least = Math.min(least, allocated.getAsLong() - before);
        }
        return least;
    }

    /** The Java backend's vectors are in no boxes, neither in prefill nor in decode. */
    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"F32", "BF16", "F16"})
    void vectors(DataType type) {
        Sample.Shape[] shapes = {
            new Sample.Shape(1, 70, 70, 4, 2, 64, 64),
            new Sample.Shape(2, 1, 700, 6, 2, 72, 40),
            new Sample.Shape(1, 9, 9, 6, 2, 64, 64)
        };
        for (Sample.Shape shape : shapes) {
            try (Arena arena = Arena.ofShared()) {
                Sample sample = Sample.of(arena, SETTING, type, shape);
                Operands o = sample.operands();
                Operands plain = Operands.of(o.q(), o.k(), o.v(), o.gate(), o.out());
                try (GatedAttention attention =
                        sample.builder(Target.java().getLast()).threads(2).build()) {
                    assertThat(bytesOfAllThreads(attention.prepare(o)::run))
                            .as("prepared %s", shape)
                            .isZero();
                    assertThat(bytesOfAllThreads(() -> attention.forward(o.q(), o.k(), o.v(), o.gate(), o.out())))
                            .as("forward %s", shape)
                            .isZero();
                    assertThat(bytesOfAllThreads(() -> attention.forward(plain)))
                            .as("forward of operands %s", shape)
                            .isZero();
                }
            }
        }
    }

    @Test
    void forwardOfTensors() {
        try (Arena arena = Arena.ofShared()) {
            Sample sample = Sample.of(arena, SETTING, DataType.BF16, new Sample.Shape(1, 1, 16, 4, 2, 64, 64));
            Operands o = sample.operands();
            try (GatedAttention attention =
                    sample.builder(Target.cpu().getLast()).build()) {
                assertThat(bytes(() -> attention.forward(o.q(), o.k(), o.v(), o.gate(), o.out())))
                        .isZero();
            }
        }
    }

    @Test
    void forwardOfOperands() {
        try (Arena arena = Arena.ofShared()) {
            Sample sample = Sample.of(arena, SETTING, DataType.BF16, new Sample.Shape(1, 1, 16, 4, 2, 64, 64));
            Operands operands = sample.operands().withKeyLengths(Tensor.copyOf(arena, DataType.I32, new int[] {9}, 1));
            try (GatedAttention attention =
                    sample.builder(Target.cpu().getLast()).build()) {
                assertThat(bytes(() -> attention.forward(operands))).isZero();
            }
        }
    }

    @Test
    void prepared() {
        try (Arena arena = Arena.ofConfined()) {
            Sample sample = Sample.of(arena, SETTING, DataType.F32, new Sample.Shape(2, 1, 16, 4, 2, 64, 64));
            try (GatedAttention attention =
                    sample.builder(Target.cpu().getLast()).build()) {
                assertThat(bytes(attention.prepare(sample.operands())::run)).isZero();
            }
        }
    }

    @Test
    void merge() {
        try (Arena arena = Arena.ofShared()) {
            Sample sample = Sample.of(arena, SETTING, DataType.BF16, new Sample.Shape(1, 1, 16, 4, 2, 64, 64));
            Tensor outs = Tensor.allocate(arena, DataType.BF16, 2, 1, 1, 4, 64);
            Tensor lses = Tensor.allocate(arena, DataType.F32, 2, 1, 4, 1);
            MergeOperands operands = MergeOperands.of(
                            outs, lses, sample.operands().gate(), sample.out())
                    .withLse(sample.operands().lse());
            try (GatedAttention attention =
                    sample.builder(Target.cpu().getLast()).build()) {
                assertThat(bytes(() -> attention.merge(operands))).isZero();
            }
        }
    }

    /** The same operands again and again, and others in turns. */
    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"F32", "BF16", "F16"})
    void backward(DataType type) {
        Target target = Target.cpu().getLast();
        try (Arena arena = Arena.ofShared()) {
            Sample.Shape shape = new Sample.Shape(1, 20, 20, 4, 2, 64, 64);
            GradientSample one = GradientSample.of(arena, Sample.of(arena, SETTING, type, shape), target);
            Sample.Shape other = new Sample.Shape(2, 3, 9, 4, 2, 64, 64);
            GradientSample two = GradientSample.of(arena, Sample.of(arena, SETTING, type, other), target);
            BackwardOperands padded = two.operands()
                    .withSequences(Sequences.padded(null, Tensor.copyOf(arena, DataType.I32, new int[] {9, 4}, 2)));
            try (GatedAttention attention = one.builder(target).threads(2).build()) {
                int[] turn = {0};
                assertThat(bytesOfAllThreads(() -> attention.backward(one.operands())))
                        .isZero();
                assertThat(bytesOfAllThreads(() -> attention.backward((turn[0]++ & 1) == 0 ? one.operands() : padded)))
                        .isZero();
            }
        }
    }

    /** Prefill and decode on a paged cache, on each backend that allocates nothing. */
    @ParameterizedTest
    @MethodSource("warmBackends")
    void sequences(Target target) {
        try (Arena arena = Arena.ofShared()) {
            Sample sample = Sample.of(arena, SETTING, DataType.F32, new Sample.Shape(1, 20, 96, 4, 2, 64, 64));
            Operands o = sample.operands();
            Operands paged = Operands.of(
                            o.q(), o.k().reshape(6, 16, 2, 64), o.v().reshape(6, 16, 2, 64), o.gate(), o.out())
                    .withNormWeight(o.normWeight())
                    .withSequences(Sequences.paged(
                                    Tensor.copyOf(arena, DataType.I32, new int[] {0, 5, 1, 4, 2, 3}, 2, 3),
                                    Tensor.copyOf(arena, DataType.I32, new int[] {40, 37}, 2))
                            .withPackedQueries(Tensor.copyOf(arena, DataType.I32, new int[] {0, 1, 20}, 3)));
            Operands padded = o.withSequences(Sequences.padded(
                    Tensor.copyOf(arena, DataType.I32, new int[] {19}, 1),
                    Tensor.copyOf(arena, DataType.I32, new int[] {90}, 1)));
            try (GatedAttention attention = sample.builder(target).build()) {
                int[] turn = {0};
                assertThat(bytesOfAllThreads(() -> attention.forward((turn[0]++ & 1) == 0 ? paged : padded)))
                        .as("in turns on %s", target)
                        .isZero();
                assertThat(bytesOfAllThreads(() -> attention.forward(paged)))
                        .as("the same again on %s", target)
                        .isZero();
                assertThat(bytesOfAllThreads(attention.prepare(padded)::run))
                        .as("prepared on %s", target)
                        .isZero();
            }
        }
    }

    static Stream<Target> warmBackends() {
        return Stream.of(Target.cpu().getLast(), Target.java().getLast());
    }

    /** Other tensors at every call, as in a model with many layers: each is checked again, still without garbage. */
    @Test
    void tensorsThatTakeTurns() {
        try (Arena arena = Arena.ofShared()) {
            Sample one = Sample.of(arena, SETTING, DataType.BF16, new Sample.Shape(1, 1, 16, 4, 2, 64, 64));
            Sample two = Sample.of(arena, SETTING, DataType.BF16, new Sample.Shape(1, 2, 7, 4, 2, 64, 64));
            try (GatedAttention attention = one.builder(Target.cpu().getLast()).build()) {
                int[] turn = {0};
                assertThat(bytes(() -> attention.forward((turn[0]++ & 1) == 0 ? one.operands() : two.operands())))
                        .isZero();
            }
        }
    }

    /** A step of a serving program: a token for each sequence, whose pages run out now and then, and attention over all. */
    @ParameterizedTest
    @CsvSource({"true, BF16", "false, BF16", "true, I8", "false, I8"})
    void decodingStepOnACache(boolean paged, DataType type) {
        int longest = 60;
        KvCache.Builder builder = paged ? KvCache.paged(40, 4) : KvCache.contiguous(2, longest);
        try (Arena arena = Arena.ofShared();
                KvCache cache =
                        builder.keyValueHeads(2).headDim(64).dataType(type).build()) {
            Sample sample = Sample.of(arena, SETTING, DataType.BF16, new Sample.Shape(2, 1, 1, 4, 2, 64, 64));
            Operands o = sample.operands();
            KvCacheBatch batch = cache.batch(2, longest);
            Operands onCache = Operands.of(o.q(), cache.keys(), cache.values(), o.gate(), o.out())
                    .withNormWeight(o.normWeight())
                    .withScales(cache.scales())
                    .withSequences(batch.sequences());
            long[] ids = {cache.allocate(), cache.allocate()};
            try (GatedAttention attention =
                    sample.builder(Target.cpu().getLast()).build()) {
                assertThat(bytes(() -> {
                            if (cache.length(ids[0]) == longest) {
                                cache.truncate(ids[0], 3);
                                cache.truncate(ids[1], 0);
                            }
                            cache.append(ids, o.k(), o.v());
                            batch.refresh(ids);
                            attention.forward(onCache);
                        }))
                        .isZero();
            }
        }
    }

    @Test
    void prologueEpilogueAndTheWayIntoACache() {
        try (Arena arena = Arena.ofShared();
                AttentionPrologue prologue = AttentionPrologue.builder()
                        .queryHeads(4)
                        .keyValueHeads(2)
                        .headDim(64)
                        .norm(1e-6f)
                        .rope(Rope.of(64, 10_000), 4096)
                        .threads(1)
                        .backend(Backend.cpu())
                        .build();
                AttentionEpilogue epilogue = AttentionEpilogue.builder()
                        .width(64)
                        .threads(1)
                        .backend(Backend.cpu())
                        .build();
                KvCache cache =
                        KvCache.contiguous(1, 8).keyValueHeads(2).headDim(64).build()) {
            PrologueOperands operands = PrologueOperands.of(
                    ProjectedHeads.inPlace(Tensor.allocate(arena, DataType.F32, 1, 1, 4, 64)),
                    ProjectedHeads.inPlace(Tensor.allocate(arena, DataType.F32, 1, 1, 2, 64)),
                    ProjectedHeads.inPlace(Tensor.allocate(arena, DataType.F32, 1, 1, 2, 64)));
            assertThat(bytes(() -> prologue.run(operands))).isZero();
            long id = cache.allocate();
            long[] ids = {id};
            assertThat(bytes(() -> {
                        prologue.run(operands, cache, ids);
                        cache.truncate(id, 0);
                    }))
                    .isZero();
            Tensor rows = Tensor.allocate(arena, DataType.F32, 1, 1, 64);
            Tensor scores = Tensor.allocate(arena, DataType.F32, 1, 1, 64);
            assertThat(bytes(() -> epilogue.run(rows, scores, rows, rows))).isZero();
        }
    }
}
