package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Partials;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Attention over parts of the keys, merged, is attention over all of them. */
class MergeTest {
    private static final long SEED = Long.getLong("ga.random.seed", 42);
    private static final Setting GATED = Setting.causal(64).withGate(Activation.SIGMOID, Combination.MULTIPLY);
    private static final Sample.Shape SMALL = new Sample.Shape(2, 3, 30, 4, 2, 64, 64);

    static Stream<Target> targets() {
        return Target.all();
    }

    static Stream<Target> backends() {
        return Target.backends();
    }

    static Stream<Arguments> targetsAndTypes() {
        return Target.all()
                .flatMap(target ->
                        Stream.of(DataType.F32, DataType.BF16, DataType.F16).map(type -> Arguments.of(target, type)));
    }

    private static void merge(Sample whole, Target target, MergeOperands operands) {
        try (GatedAttention attention = whole.builder(target).build()) {
            attention.merge(operands);
        }
    }

    private static Sample withSink(Arena arena, Sample sample, Random random) {
        float[] logits = new float[(int) sample.operands().q().dim(2)];
        for (int h = 0; h < logits.length; h++) {
            logits[h] = (float) random.nextGaussian() * 3;
        }
        return sample.with(sample.operands().withSink(Tensor.copyOf(arena, DataType.F32, logits, logits.length)));
    }

    private static int[] borders(Random random, int keys) {
        int[] borders = new int[3 + random.nextInt(4)];
        Arrays.setAll(borders, n -> random.nextInt(keys + 1));
        borders[0] = 0;
        borders[1] = keys;
        Arrays.sort(borders);
        return borders;
    }

    /** Two to five parts, some of them empty; prefill, decode, and queries that see no key. */
    @ParameterizedTest
    @MethodSource("targetsAndTypes")
    void partsOfTheKeys(Target target, DataType type) {
        Random random = new Random(SEED);
        Sample.Shape[] shapes = {
            new Sample.Shape(1, 70, 70, 4, 2, 64, 64),
            new Sample.Shape(2, 1, 700, 6, 2, 72, 40),
            new Sample.Shape(1, 9, 4, 3, 1, 64, 24),
            SMALL,
        };
        Setting[] settings = {
            GATED,
            GATED.withHeadwiseGate(Activation.TANH).withScores(0.3f, 5),
            GATED.withPre(Setting.Pre.RMS_NORM, 1e-6f).withGate(Activation.SILU, Combination.ADD),
            GATED.withPre(Setting.Pre.SILU, 0).withRoundBeforeGate(),
        };
        for (Sample.Shape shape : shapes) {
            for (Setting setting : settings) {
                try (Arena arena = Arena.ofShared()) {
                    Sample plain = Sample.of(arena, setting, type, shape);
                    Sample whole = random.nextBoolean() ? plain : withSink(arena, plain, random);
                    int[] borders = borders(random, shape.seqK());
                    merge(whole, target, Partials.of(arena, whole, target, borders));
                    assertThat(whole.compare(whole.expected()))
                            .as("%s %s %s, seed %d", shape, setting, Arrays.toString(borders), SEED)
                            .isNull();
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("targets")
    void anyNumberOfThreadsGivesTheSameBits(Target target) {
        try (Arena arena = Arena.ofShared()) {
            Sample whole = Sample.of(arena, GATED, DataType.BF16, new Sample.Shape(2, 200, 300, 4, 2, 64, 64));
            MergeOperands operands = Partials.of(arena, whole, target, 0, 90, 250, 300);
            merge(whole, target, operands);
            byte[] expected = whole.outputBytes();
            for (int threads : new int[] {1, 3, 8}) {
                whole.spoilOutputs();
                try (GatedAttention attention =
                        whole.builder(target).threads(threads).build()) {
                    attention.merge(operands);
                }
                assertThat(whole.outputBytes()).as("%d threads", threads).isEqualTo(expected);
            }
        }
    }

    /** Parts of any type, transposed and apart from each other; the output in place of the gate. */
    @ParameterizedTest
    @MethodSource("targets")
    void viewsOfOtherTypes(Target target) {
        try (Arena arena = Arena.ofConfined()) {
            Sample whole = Sample.of(arena, GATED, DataType.F32, SMALL);
            MergeOperands dense = Partials.of(arena, whole, target, 0, 12, 30);
            for (DataType type : new DataType[] {DataType.F32, DataType.BF16, DataType.F16}) {
                Tensor outs = Tensor.allocate(arena, type, 4, 2, 4, 3, 80)
                        .transpose(2, 3)
                        .slice(4, 0, 64)
                        .slice(0, 1, 3);
                outs.copyFrom(dense.partialOut());
                Tensor rounded = Tensor.allocate(arena, DataType.F32, 2, 2, 3, 4, 64);
                rounded.copyFrom(outs);
                Tensor lses = Tensor.allocate(arena, DataType.F32, 2, 2, 3, 8)
                        .transpose(2, 3)
                        .slice(2, 2, 6);
                lses.copyFrom(dense.partialLse());
                merge(whole, target, MergeOperands.of(rounded, dense.partialLse(), dense.gate(), whole.out()));
                Tensor inPlace = Tensor.allocate(arena, DataType.F32, 2, 3, 4, 64);
                inPlace.copyFrom(dense.gate());
                merge(whole, target, MergeOperands.of(outs, lses, inPlace, inPlace));
                assertThat(inPlace.toFloatArray())
                        .as("%s", type)
                        .isEqualTo(whole.out().toFloatArray());
            }
        }
    }

    /** What a part says of a row in which it saw no key does not count, not even a NaN; a NaN that counts is not hidden. */
    @ParameterizedTest
    @MethodSource("targets")
    void rowsWithoutKeysAndNan(Target target) {
        try (Arena arena = Arena.ofConfined()) {
            Sample whole = Sample.of(arena, GATED, DataType.F32, SMALL);
            MergeOperands o = Partials.of(arena, whole, target, 0, 12, 30);
            o.partialOut().setFloat(Float.NaN, 0, 1, 2, 3, 7);
            o.partialLse().setFloat(Float.NEGATIVE_INFINITY, 0, 1, 3, 2);
            merge(whole, target, o);
            assertThat(whole.operands().lse().getFloat(1, 3, 2))
                    .isCloseTo(o.partialLse().getFloat(1, 1, 3, 2), offset(1e-6f));
            assertThat(DoubleTensor.of(whole.out()).values()).doesNotContain(Double.NaN);

            o.partialLse().setFloat(Float.NEGATIVE_INFINITY, 1, 1, 3, 2);
            merge(whole, target, o);
            assertThat(whole.operands().lse().getFloat(1, 3, 2)).isEqualTo(Float.NEGATIVE_INFINITY);
            assertThat(whole.out().getFloat(1, 2, 3, 7)).isZero();
            Tensor sink = Tensor.copyOf(arena, DataType.F32, new float[] {1.5f}, 1);
            merge(whole, target, o.withSink(sink));
            assertThat(whole.operands().lse().getFloat(1, 3, 2)).isEqualTo(1.5f);
            assertThat(whole.out().getFloat(1, 2, 3, 7)).isZero();

            o.partialLse().setFloat(Float.NaN, 1, 1, 3, 2);
            merge(whole, target, o);
            assertThat(whole.operands().lse().getFloat(1, 3, 2)).isNaN();
            assertThat(whole.out().getFloat(1, 2, 3, 0)).isNaN();
            assertThat(whole.out().getFloat(1, 2, 2, 0)).isFinite();
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void wrongOperandsAreRefusedAndNothingIsWritten(Target target) {
        try (Arena arena = Arena.ofShared()) {
            Sample whole = Sample.of(arena, GATED, DataType.F32, SMALL);
            MergeOperands good = Partials.of(arena, whole, target, 0, 12, 30);
            byte[] untouched = whole.outputBytes();
            Tensor outs = good.partialOut();
            Tensor lses = good.partialLse();
            Tensor gate = good.gate();
            Tensor out = good.out();
            refused(whole, target, MergeOperands.of(lses, lses, gate, out), "partialOut has 4 axes", "5");
            refused(whole, target, MergeOperands.of(outs.slice(0, 0, 0), lses, gate, out), "partialOut has 0", "1");
            refused(
                    whole,
                    target,
                    MergeOperands.of(outs.slice(3, 0, 3), lses, gate, out),
                    "partialOut has 3 heads",
                    "4");
            refused(whole, target, MergeOperands.of(outs.slice(4, 0, 56), lses, gate, out), "56 elements", "64");
            refused(whole, target, MergeOperands.of(outs.transpose(3, 4), lses, gate, out), "partialOut");
            refused(whole, target, MergeOperands.of(outs.slice(0, 0, 1), lses, gate, out), "partialLse has 2", "1");
            refused(whole, target, MergeOperands.of(outs.slice(0, 0, 1).expand(0, 2), lses, gate, out), "stride 0");
            refused(
                    whole,
                    target,
                    MergeOperands.of(outs, lses.transpose(2, 3), gate, out),
                    "partialLse has 3 heads",
                    "4");
            refused(
                    whole,
                    target,
                    MergeOperands.of(outs, Tensor.allocate(arena, DataType.BF16, 2, 2, 4, 3), gate, out),
                    "partialLse is BF16",
                    "must be F32");
            refused(whole, target, MergeOperands.of(outs, lses, null, out), "gate is null");
            refused(whole, target, MergeOperands.of(outs, lses, gate.slice(1, 0, 2), out), "gate has 2 queries", "3");
            refused(whole, target, MergeOperands.of(outs, lses, gate, out.slice(0, 0, 1)), "out has 1 sequences", "2");
            refused(whole, target, MergeOperands.of(outs, lses, gate, outs.select(0, 1)), "out", "overlaps partialOut");
            refused(whole, target, good.withLse(lses.select(0, 0)), "lse", "overlaps partialLse");
            refused(whole, target, good.withLse(Tensor.allocate(arena, DataType.F32, 2, 3, 4)), "lse has 3 heads", "4");
            refused(whole, target, good.withSink(Tensor.allocate(arena, DataType.F32, 2)), "sink has 2 heads", "4");
            refused(whole, target, good.withNormWeight(Tensor.allocate(arena, DataType.F32, 4, 64)), "normWeight");
            Tensor readOnly = Tensor.of(arena.allocate(out.spanBytes(), 64).asReadOnly(), DataType.F32, out.shape());
            refused(whole, target, MergeOperands.of(outs, lses, gate, readOnly), "out is read-only");
            assertThatThrownBy(() -> MergeOperands.of(null, lses, gate, out))
                    .isInstanceOf(NullPointerException.class)
                    .hasMessageContaining("partialOut");
            assertThat(whole.outputBytes()).isEqualTo(untouched);
        }
    }

    private static void refused(Sample whole, Target target, MergeOperands operands, String... parts) {
        assertThatThrownBy(() -> merge(whole, target, operands))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageMatching("[^\\n]+")
                .satisfies(e -> assertThat(e.getMessage()).contains(parts));
    }

    @ParameterizedTest
    @MethodSource("backends")
    void closedAndConfined(Target target) throws InterruptedException {
        try (Arena arena = Arena.ofConfined()) {
            Sample whole = Sample.of(arena, GATED, DataType.F32, SMALL);
            MergeOperands good = Partials.of(arena, whole, target, 0, 30);
            byte[] untouched = whole.outputBytes();
            GatedAttention attention = whole.builder(target).build();
            Throwable[] thrown = {null};
            Thread other = Thread.ofPlatform().start(() -> {
                try {
                    attention.merge(good);
                } catch (WrongThreadException e) {
                    thrown[0] = e;
                }
            });
            other.join();
            assertThat(thrown[0]).isInstanceOf(WrongThreadException.class);
            Arena shortLived = Arena.ofShared();
            Tensor sink = Tensor.allocate(shortLived, DataType.F32, 4);
            shortLived.close();
            assertThatThrownBy(() -> attention.merge(good.withSink(sink))).isInstanceOf(IllegalStateException.class);
            attention.close();
            assertThatThrownBy(() -> attention.merge(good))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("closed");
            assertThat(whole.outputBytes()).isEqualTo(untouched);
        }
    }
}
