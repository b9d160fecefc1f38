package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.GradientSample;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What gradients are at the edges: one query, no key, saturated gates, shared gates, NaN, and any choice of what is wanted. */
class BackwardTest {
    private static final DataType[] TYPES = {DataType.F32, DataType.BF16, DataType.F16};
    private static final Setting GATED = Setting.causal(16).withGate(Activation.SIGMOID, Combination.MULTIPLY);
    private static final Setting NORMED = GATED.withPre(Setting.Pre.RMS_NORM, 1e-5f);
    private static final Sample.Shape SMALL = new Sample.Shape(2, 9, 21, 4, 2, 16, 24);

    static Stream<Target> targets() {
        return Target.all();
    }

    /** Without the bytes in the message. */
    private static void same(byte[] actual, byte[] expected, String what, Object... arguments) {
        assertThat(Arrays.equals(actual, expected)).as(what, arguments).isTrue();
    }

    private static void check(GradientSample sample, Target target, Object... what) {
        sample.run(target, 2);
        assertThat(sample.compare(sample.expected()))
                .as("%s on %s", Arrays.toString(what), target)
                .isNull();
    }

    /** Groups of 1 to 16 query heads, one query and several, and head dimensions that differ. */
    @ParameterizedTest
    @MethodSource("targets")
    void groupsAndSingleQueries(Target target) {
        for (DataType type : TYPES) {
            for (int group = 1; group <= 16; group++) {
                try (Arena arena = Arena.ofShared()) {
                    int queries = group % 3 == 0 ? 1 : 7;
                    Sample.Shape shape = new Sample.Shape(2, queries, 7 + group, 2 * group, 2, 16, 8 + 8 * (group % 4));
                    check(GradientSample.of(arena, Sample.of(arena, NORMED, type, shape), target), target, type, shape);
                }
            }
        }
    }

    /** Longer than any block of rows or keys. */
    @ParameterizedTest
    @MethodSource("targets")
    void severalBlocks(Target target) {
        Setting window = GATED.withMask(false, 70, 5).withHeadwiseGate(Activation.SOFTPLUS);
        for (DataType type : TYPES) {
            for (Setting setting : new Setting[] {GATED, window, NORMED.withScores(0.2f, 3)}) {
                try (Arena arena = Arena.ofShared()) {
                    Sample.Shape shape = new Sample.Shape(1, 300, 333, 2, 1, 16, 16);
                    Sample sample = Sample.of(arena, setting, type, shape);
                    check(GradientSample.of(arena, sample, target), target, type, setting);
                }
            }
        }
    }

    /** Scores of 80 and of minus 80: an open gate and a closed one, never NaN, in every activation and combination. */
    @ParameterizedTest
    @MethodSource("targets")
    void saturatedGates(Target target) {
        for (DataType type : TYPES) {
            for (Activation activation : Activation.values()) {
                for (Combination combination : Combination.values()) {
                    for (boolean headwise : new boolean[] {false, true}) {
                        Setting setting = GATED.withGate(activation, combination);
                        setting = headwise ? setting.withHeadwiseGate(activation) : setting;
                        try (Arena arena = Arena.ofShared()) {
                            Sample sample = Sample.of(arena, setting, type, SMALL);
                            Tensor gate = sample.operands().gate();
                            for (int i = 0; i < 9; i++) {
                                for (int h = 0; h < 4; h++) {
                                    gate.setFloat((i + h) % 2 == 0 ? 80 : -80, 1, i, h, 0);
                                }
                            }
                            GradientSample gradients = GradientSample.of(arena, sample, target);
                            check(gradients, target, type, setting);
                            assertThat(DoubleTensor.of(gradients.operands().dQ())
                                            .values())
                                    .doesNotContain(Double.NaN);
                        }
                    }
                }
            }
        }
    }

    /**
     * Queries before the first key see none: Y is 0 there whatever the query holds, so nothing flows to q, k, v, or through a gate
     * that multiplies; one that is added is all there is of the result.
     */
    @ParameterizedTest
    @MethodSource("targets")
    void rowsWithoutKeys(Target target) {
        for (Setting setting : new Setting[] {GATED, NORMED, GATED.withGate(Activation.SILU, Combination.ADD)}) {
            for (DataType type : TYPES) {
                try (Arena arena = Arena.ofShared()) {
                    Sample plain = Sample.of(arena, setting, type, new Sample.Shape(1, 9, 5, 4, 2, 16, 16));
                    Tensor sink =
                            Tensor.copyOf(arena, DataType.F32, new float[] {1, -1, 0, Float.NEGATIVE_INFINITY}, 4);
                    Sample sample = plain.with(plain.operands().withSink(sink));
                    GradientSample gradients = GradientSample.of(arena, sample, target);
                    gradients.run(target, 2);
                    BackwardOperands o = gradients.operands();
                    assertThat(o.dSink().getFloat(3)).isZero();
                    for (int i = 0; i < 4; i++) {
                        for (int h = 0; h < 4; h++) {
                            for (int d = 0; d < 16; d++) {
                                assertThat(o.dQ().getFloat(0, i, h, d)).isZero();
                                assertThat(o.dGate().getFloat(0, i, h, d) == 0)
                                        .isEqualTo(setting.combination() == Combination.MULTIPLY);
                                o.forward().q().setFloat(Float.NaN, 0, i, h, d);
                            }
                        }
                    }
                    check(gradients, target, type, setting);
                }
            }
        }
    }

    /** A NaN that a row sees makes the gradients that depend on it NaN, and no others. */
    @ParameterizedTest
    @MethodSource("targets")
    void nanIsNotHidden(Target target) {
        try (Arena arena = Arena.ofShared()) {
            Sample sample = Sample.of(arena, GATED, DataType.F32, new Sample.Shape(2, 6, 6, 2, 1, 16, 16));
            sample.operands().k().setFloat(Float.NaN, 1, 4, 0, 3);
            GradientSample gradients = GradientSample.of(arena, sample, target);
            gradients.run(target, 2);
            BackwardOperands o = gradients.operands();
            assertThat(o.dQ().getFloat(1, 4, 0, 0)).isNaN();
            assertThat(o.dQ().getFloat(1, 3, 0, 0)).isFinite();
            assertThat(o.dGate().getFloat(1, 5, 1, 0)).isNaN();
            assertThat(o.dGate().getFloat(1, 3, 1, 0)).isFinite();
            assertThat(o.dV().getFloat(1, 0, 0, 0)).isNaN();
            assertThat(DoubleTensor.of(o.dV().slice(0, 0, 1)).values()).doesNotContain(Double.NaN);
            assertThat(DoubleTensor.of(o.dK().slice(0, 0, 1)).values()).doesNotContain(Double.NaN);
        }
    }

    /** Each gradient alone has the bits that it has among the others, but for that of a sink, whose dY is then rounded no more. */
    @ParameterizedTest
    @MethodSource("targets")
    void anyChoiceOfGradients(Target target) {
        try (Arena arena = Arena.ofShared()) {
            Sample plain = Sample.of(arena, NORMED, DataType.BF16, SMALL);
            Tensor sink = Tensor.copyOf(arena, DataType.F32, new float[] {0.5f}, 1);
            GradientSample all =
                    GradientSample.of(arena, plain.with(plain.operands().withSink(sink)), target);
            all.run(target, 2);
            List<byte[]> expected = new ArrayList<>();
            BackwardOperands o = all.operands();
            BackwardOperands none = BackwardOperands.of(o.forward(), o.dOut());
            List<GradientSample> alone = List.of(
                    all.with(none.withDQ(o.dQ())),
                    all.with(none.withDK(o.dK())),
                    all.with(none.withDV(o.dV())),
                    all.with(none.withDGate(o.dGate())),
                    all.with(none.withDNormWeight(o.dNormWeight())),
                    all.with(none.withDSink(o.dSink())));
            alone.forEach(one -> expected.add(one.bytes()));
            for (int n = 0; n < alone.size() - 1; n++) {
                same(alone.get(n).run(target, 2), expected.get(n), "gradient %d on %s", n, target);
            }
            check(alone.getLast(), target, "dSink");
        }
    }

    /** A gate repeated by a stride of 0 is a gate with an axis of 1: its gradient is one sum. */
    @ParameterizedTest
    @MethodSource("targets")
    void sharedBySayingItOnceOrByStride(Target target) {
        try (Arena arena = Arena.ofShared()) {
            Sample plain = Sample.of(arena, GATED, DataType.F32, SMALL);
            Operands o = plain.operands();
            Tensor once = o.gate().slice(0, 0, 1).slice(2, 1, 2);
            Tensor sum = Tensor.allocate(arena, DataType.F32, 1, 9, 1, 24);
            GradientSample single = GradientSample.of(
                    arena,
                    plain.with(new Operands(o.q(), o.k(), o.v(), once, o.out(), null, null, o.lse(), null, null)),
                    target);
            single = single.with(single.operands().withDGate(sum));
            check(single, target, "extents of 1");
            float[] expected = sum.toFloatArray();
            Tensor repeated = once.expand(0, 2).expand(2, 4);
            Operands expanded = new Operands(o.q(), o.k(), o.v(), repeated, o.out(), null, null, o.lse(), null, null);
            BackwardOperands operands =
                    BackwardOperands.of(expanded, single.operands().dOut()).withDGate(sum);
            single.with(operands).run(target, 2);
            assertThat(sum.toFloatArray()).isEqualTo(expected);
        }
    }

    /** No queries, no keys, no sequences: what there is of gradients is 0. */
    @ParameterizedTest
    @MethodSource("targets")
    void emptyExtents(Target target) {
        for (Sample.Shape shape : new Sample.Shape[] {
            new Sample.Shape(2, 0, 5, 4, 2, 16, 16),
            new Sample.Shape(2, 3, 0, 4, 2, 16, 16),
            new Sample.Shape(0, 3, 5, 4, 2, 16, 16)
        }) {
            try (Arena arena = Arena.ofShared()) {
                GradientSample sample = GradientSample.of(arena, Sample.of(arena, NORMED, DataType.F32, shape), target);
                sample.run(target, 2);
                for (Tensor gradient : sample.gradients()) {
                    if (gradient != null) {
                        assertThat(gradient.toFloatArray())
                                .as("%s on %s", shape, target)
                                .doesNotContain(Float.NaN);
                        for (float element : gradient.toFloatArray()) {
                            assertThat(element).as("%s on %s", shape, target).isZero();
                        }
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("targets")
    void anyNumberOfThreadsAndAnyRunGivesTheSameBits(Target target) {
        Setting headwise =
                GATED.withMask(false, 100, 3).withHeadwiseGate(Activation.SILU).withPre(Setting.Pre.SILU, 0);
        Sample.Shape[] shapes = {
            new Sample.Shape(1, 127, 127, 4, 2, 64, 64),
            new Sample.Shape(3, 33, 257, 6, 2, 40, 72),
            new Sample.Shape(2, 1, 700, 3, 3, 32, 32)
        };
        for (Sample.Shape shape : shapes) {
            for (Setting setting : new Setting[] {NORMED, headwise}) {
                for (DataType type : TYPES) {
                    try (Arena arena = Arena.ofShared()) {
                        GradientSample sample =
                                GradientSample.of(arena, Sample.of(arena, setting, type, shape), target);
                        byte[] first = sample.run(target, 1);
                        for (int threads : new int[] {1, 2, 3, 5, 8}) {
                            same(
                                    sample.run(target, threads),
                                    first,
                                    "%s %s on %s with %d threads",
                                    shape,
                                    type,
                                    target,
                                    threads);
                        }
                    }
                }
            }
        }
    }

    /** A plan counts the products of the gradients asked for. */
    @ParameterizedTest
    @MethodSource("targets")
    void plans(Target target) {
        try (Arena arena = Arena.ofShared()) {
            Setting all = GATED.withMask(false, -1, -1);
            GradientSample sample = GradientSample.of(arena, Sample.of(arena, all, DataType.BF16, SMALL), target);
            BackwardOperands o = sample.operands();
            BackwardOperands none = BackwardOperands.of(o.forward(), o.dOut());
            long pairs = 2L * 4 * 9 * 21;
            long again = target.isJava() ? 16 + 24 : 0;
            try (GatedAttention attention = sample.builder(target).build()) {
                Plan plan = attention.explain(o);
                assertThat(plan.flop()).isEqualTo(2 * pairs * (again + 3 * 16 + 2 * 24));
                assertThat(plan.kernel()).contains("backward", "bf16");
                assertThat(plan.tasks()).isPositive();
                assertThat(plan.workspaceBytes()).isPositive();
                assertThat(attention.explain(none.withDV(o.dV())).flop()).isEqualTo(2 * pairs * (again + 16 + 24));
                assertThat(attention.explain(none.withDQ(o.dQ())).flop()).isEqualTo(2 * pairs * (again + 2 * 16 + 24));
                assertThat(attention.explain(none.withDGate(o.dGate())).flop()).isEqualTo(2 * pairs * again);
            }
        }
    }

    /** A sequence has the gradients that it has alone, whatever its neighbors in the batch are. */
    @ParameterizedTest
    @MethodSource("targets")
    void neighborsDoNotMatter(Target target) {
        for (DataType type : TYPES) {
            try (Arena arena = Arena.ofShared()) {
                Sample sample = Sample.of(arena, GATED, type, new Sample.Shape(3, 40, 70, 4, 2, 16, 16));
                GradientSample all = GradientSample.of(arena, sample, target);
                all.run(target, 2);
                BackwardOperands o = all.operands();
                for (int b = 0; b < 3; b++) {
                    GradientSample one = all.with(slice(o, b));
                    byte[] expected = one.bytes();
                    same(one.run(target, 2), expected, "%s on %s", type, target);
                }
            }
        }
    }

    private static BackwardOperands slice(BackwardOperands o, int b) {
        Operands f = o.forward();
        Operands one = Operands.of(row(f.q(), b), row(f.k(), b), row(f.v(), b), row(f.gate(), b), row(f.out(), b))
                .withLse(row(f.lse(), b));
        return BackwardOperands.of(
                one, row(o.dOut(), b), row(o.dQ(), b), row(o.dK(), b), row(o.dV(), b), row(o.dGate(), b));
    }

    private static Tensor row(Tensor tensor, int b) {
        return tensor.slice(0, b, b + 1);
    }
}
