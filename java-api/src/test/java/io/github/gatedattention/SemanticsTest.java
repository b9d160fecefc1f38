package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Expected;
import io.github.gatedattention.reference.Floats;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** What the operator promises at its edges: rows without keys, NaN, results in place, exact roundings. */
class SemanticsTest {
    private static final Setting GATED = Setting.causal(64).withGate(Activation.SIGMOID, Combination.MULTIPLY);
    private static final Sample.Shape SQUARE = new Sample.Shape(1, 70, 70, 4, 2, 64, 64);

    static Stream<Arguments> targetsAndTypes() {
        return Target.all()
                .flatMap(target ->
                        Stream.of(DataType.F32, DataType.BF16, DataType.F16).map(type -> Arguments.of(target, type)));
    }

    private static void run(Sample sample, Target target) {
        sample.spoilOutputs();
        try (GatedAttention attention = sample.builder(target).build()) {
            attention.forward(sample.operands());
        }
    }

    /** More queries than keys: under a causal mask the first ones see nothing. */
    @ParameterizedTest
    @MethodSource("targetsAndTypes")
    void rowsWithoutKeys(Target target, DataType type) {
        Setting[] settings = {
            GATED,
            GATED.withGate(Activation.TANH, Combination.ADD),
            GATED.withPre(Setting.Pre.RMS_NORM, 0),
            GATED.withPre(Setting.Pre.RMS_NORM, 1e-6f).withGate(Activation.TANH, Combination.ADD),
            GATED.withPre(Setting.Pre.SILU, 0).withRoundBeforeGate(),
        };
        for (Setting setting : settings) {
            try (Arena arena = Arena.ofConfined()) {
                Sample sample = Sample.of(arena, setting, type, new Sample.Shape(2, 20, 7, 4, 2, 64, 64));
                run(sample, target);
                assertThat(sample.compare(sample.expected()))
                        .as(setting.toString())
                        .isNull();
                for (int i = 0; i < 13; i++) {
                    assertThat(sample.operands().lse().getFloat(1, 3, i)).isEqualTo(Float.NEGATIVE_INFINITY);
                    if (setting.combination() == Combination.MULTIPLY) {
                        assertThat(sample.out().getFloat(1, i, 3, 5)).isZero();
                    }
                }
            }
        }
    }

    /** A row that sees no key keeps the sink as its whole denominator; a sink that is no number makes its head NaN. */
    @ParameterizedTest
    @MethodSource("targetsAndTypes")
    void sinksOfRowsWithAndWithoutKeys(Target target, DataType type) {
        float[] logits = {100, -100, Float.NEGATIVE_INFINITY, Float.NaN};
        for (int queries : new int[] {3, 70}) {
            try (Arena arena = Arena.ofConfined()) {
                Sample plain = Sample.of(arena, GATED, type, new Sample.Shape(1, queries, 2, 4, 2, 64, 64));
                Sample sample = plain.with(
                        plain.operands().withSink(Tensor.copyOf(arena, DataType.F32, logits, logits.length)));
                run(sample, target);
                assertThat(sample.compare(sample.expected())).isNull();
                for (int h = 0; h < logits.length; h++) {
                    assertThat(sample.operands().lse().getFloat(0, h, 0)).isEqualTo((Float) logits[h]);
                    assertThat(sample.out().getFloat(0, 0, h, 5)).isEqualTo((Float) (h == 3 ? Float.NaN : 0));
                }
                assertThat(sample.operands().lse().getFloat(0, 0, queries - 1)).isEqualTo(100);
                assertThat(sample.out().getFloat(0, queries - 1, 3, 0)).isNaN();
            }
        }
    }

    /** A sink that takes none, some or all of the weight, for each head its own. */
    @ParameterizedTest
    @MethodSource("targetsAndTypes")
    void sinksFarFromTheScores(Target target, DataType type) {
        for (Sample.Shape shape : new Sample.Shape[] {
            SQUARE, new Sample.Shape(2, 1, 1500, 4, 2, 64, 64), new Sample.Shape(1, 5, 90, 4, 1, 64, 64)
        }) {
            for (float far : new float[] {100, 20, 1}) {
                try (Arena arena = Arena.ofConfined()) {
                    Sample plain = Sample.of(arena, GATED, type, shape);
                    float[] logits = {far, -far, 0, far / 2};
                    Sample sample =
                            plain.with(plain.operands().withSink(Tensor.copyOf(arena, DataType.F32, logits, 4)));
                    run(sample, target);
                    assertThat(sample.compare(sample.expected()))
                            .as("%s sink %s", shape, far)
                            .isNull();
                }
            }
        }
    }

    /** Caps that saturate all scores, some and none, and those at the ends of what a float can say. */
    @ParameterizedTest
    @MethodSource("targetsAndTypes")
    void softcapsOfAnySize(Target target, DataType type) {
        for (float cap : new float[] {Float.MIN_VALUE, 1e-30f, 0.01f, 1, 30, 1e4f, 1e20f, Float.MAX_VALUE}) {
            for (float scale : new float[] {0.125f, -0.5f, 0}) {
                Setting setting = GATED.withScores(scale, cap);
                for (Sample.Shape shape : new Sample.Shape[] {SQUARE, new Sample.Shape(1, 2, 600, 4, 2, 64, 64)}) {
                    try (Arena arena = Arena.ofConfined()) {
                        Sample sample = Sample.of(arena, setting, type, shape);
                        run(sample, target);
                        assertThat(sample.compare(sample.expected()))
                                .as("softcap %s scale %s", cap, scale)
                                .isNull();
                    }
                }
            }
        }
    }

    /** An empty cache, no keys at all, no queries, no sequences. */
    @ParameterizedTest
    @MethodSource("targetsAndTypes")
    void emptyExtents(Target target, DataType type) {
        int[][] extents = {{2, 3, 0}, {2, 0, 5}, {0, 3, 5}, {1, 1, 0}, {0, 0, 0}};
        for (int[] e : extents) {
            try (Arena arena = Arena.ofConfined()) {
                Sample sample = Sample.of(arena, GATED, type, new Sample.Shape(e[0], e[1], e[2], 4, 2, 64, 64));
                run(sample, target);
                assertThat(sample.compare(sample.expected())).isNull();
            }
        }
        try (Arena arena = Arena.ofConfined()) {
            Sample full = Sample.of(arena, GATED, type, new Sample.Shape(2, 1, 9, 4, 2, 64, 64));
            Sample sample =
                    full.with(full.operands().withKeyLengths(Tensor.copyOf(arena, DataType.I32, new int[] {0, 9}, 2)));
            run(sample, target);
            assertThat(sample.compare(sample.expected())).isNull();
            assertThat(sample.operands().lse().getFloat(0, 0, 0)).isEqualTo(Float.NEGATIVE_INFINITY);
        }
    }

    /** NaN in a key makes the rows that see it NaN, and no other: those keep their bits. */
    @ParameterizedTest
    @MethodSource("targetsAndTypes")
    void nanGoesWhereItIsSeen(Target target, DataType type) {
        try (Arena arena = Arena.ofConfined()) {
            Sample sample = Sample.of(arena, GATED, type, SQUARE);
            run(sample, target);
            float[] clean = sample.out().toFloatArray();
            Operands o = sample.operands();

            o.k().setFloat(Float.NaN, 0, 40, 1, 3);
            run(sample, target);
            check(sample, clean, (i, h, _) -> h >= 2 && i >= 40);
            assertThat(o.lse().getFloat(0, 2, 40)).isNaN();
            assertThat(o.lse().getFloat(0, 2, 39)).isFinite();
            o.k().setFloat(0, 0, 40, 1, 3);
            run(sample, target);
            float[] cleanAgain = sample.out().toFloatArray();

            o.v().setFloat(Float.NaN, 0, 50, 0, 9);
            run(sample, target);
            check(sample, cleanAgain, (i, h, d) -> h < 2 && i >= 50 && d == 9);
            o.v().setFloat(1, 0, 50, 0, 9);

            run(sample, target);
            float[] cleanQ = sample.out().toFloatArray();
            o.q().setFloat(Float.NaN, 0, 10, 3, 0);
            run(sample, target);
            check(sample, cleanQ, (i, h, _) -> i == 10 && h == 3);
            o.q().setFloat(1, 0, 10, 3, 0);

            run(sample, target);
            float[] cleanGate = sample.out().toFloatArray();
            o.gate().setFloat(Float.NaN, 0, 69, 1, 63);
            run(sample, target);
            check(sample, cleanGate, (i, h, d) -> i == 69 && h == 1 && d == 63);
        }
    }

    /**
     * Kernels take 16-bit keys by pairs, and a tile of rows may belong to one query: each key in turn is NaN, and the query before it and
     * the queries whose window is past it keep their bits.
     */
    @ParameterizedTest
    @MethodSource("targetsAndTypes")
    void nanInThePartnerOfAPair(Target target, DataType type) {
        int length = 12;
        Setting[] settings = {GATED, GATED.withMask(true, 3, -1), GATED.withMask(false, 2, 1)};
        for (Setting setting : settings) {
            int left = setting.windowLeft() < 0 ? length : (int) setting.windowLeft();
            int right = setting.causal() ? 0 : (int) setting.windowRight();
            try (Arena arena = Arena.ofConfined();
                    GatedAttention attention =
                            target.builder(setting, type, 8, 1, 64, 64).build()) {
                Sample sample = Sample.of(arena, setting, type, new Sample.Shape(1, length, length, 8, 1, 64, 64));
                Operands o = sample.operands();
                attention.forward(o);
                float[] clean = o.out().toFloatArray();
                for (int key = 0; key < length; key++) {
                    for (Tensor spoiled : new Tensor[] {o.k(), o.v()}) {
                        float before = spoiled.getFloat(0, key, 0, 7);
                        spoiled.setFloat(Float.NaN, 0, key, 0, 7);
                        attention.forward(o);
                        spoiled.setFloat(before, 0, key, 0, 7);
                        float[] out = o.out().toFloatArray();
                        for (int n = 0; n < out.length; n++) {
                            int i = n / (8 * 64);
                            boolean seen = key >= i - left && key <= i + right;
                            boolean isNan = seen && (spoiled == o.k() || n % 64 == 7);
                            if (isNan ? !Float.isNaN(out[n]) : out[n] != clean[n]) {
                                throw new AssertionError("key " + key + " of " + (spoiled == o.k() ? "k" : "v")
                                        + " is NaN: query " + i + " has " + out[n] + " where it had " + clean[n] + ", "
                                        + setting);
                            }
                        }
                    }
                }
            }
        }
    }

    private interface IsNan {
        boolean at(int i, int h, int d);
    }

    private static void check(Sample sample, float[] clean, IsNan isNan) {
        float[] out = sample.out().toFloatArray();
        for (int n = 0; n < out.length; n++) {
            int d = n % 64;
            int h = n / 64 % 4;
            int i = n / 256;
            if (isNan.at(i, h, d)) {
                assertThat(out[n]).as("query %d head %d element %d", i, h, d).isNaN();
            } else {
                assertThat(out[n]).as("query %d head %d element %d", i, h, d).isEqualTo(clean[n]);
            }
        }
    }

    /** The output may take the place of q or of the gate. */
    @ParameterizedTest
    @MethodSource("targetsAndTypes")
    void inPlace(Target target, DataType type) {
        Sample.Shape[] shapes = {
            SQUARE, new Sample.Shape(2, 1, 900, 8, 2, 64, 64), new Sample.Shape(1, 3, 300, 2, 2, 128, 128)
        };
        for (Sample.Shape shape : shapes) {
            try (Arena arena = Arena.ofConfined()) {
                Sample sample = Sample.of(arena, GATED, type, shape);
                run(sample, target);
                float[] expected = sample.out().toFloatArray();
                Operands o = sample.operands();
                byte[] q = o.q().segment().toArray(ValueLayout.JAVA_BYTE);
                try (GatedAttention attention = sample.builder(target).build()) {
                    attention.forward(o.q(), o.k(), o.v(), o.gate(), o.q());
                    assertThat(o.q().toFloatArray()).as("in place of q").isEqualTo(expected);
                    o.q().segment().copyFrom(MemorySegment.ofArray(q));
                    attention.forward(o.q(), o.k(), o.v(), o.gate(), o.gate());
                    assertThat(o.gate().toFloatArray())
                            .as("in place of the gate")
                            .isEqualTo(expected);
                }
            }
        }
    }

    /** Rounding before the gate gives, bit for bit, what two steps through memory give. */
    @ParameterizedTest
    @MethodSource("targetsAndTypes")
    void roundBeforeGateIsTwoSteps(Target target, DataType type) {
        for (Combination combination : Combination.values()) {
            Setting plain = Setting.causal(64);
            Setting fused = plain.withGate(Activation.IDENTITY, combination).withRoundBeforeGate();
            try (Arena arena = Arena.ofConfined()) {
                Sample sample = Sample.of(arena, fused, type, SQUARE);
                Operands o = sample.operands();
                Tensor y = Tensor.allocate(arena, type, o.out().shape());
                try (GatedAttention attention =
                        target.builder(plain, type, 4, 2, 64, 64).build()) {
                    attention.forward(o.q(), o.k(), o.v(), null, y);
                }
                run(sample, target);
                float[] ys = y.toFloatArray();
                float[] gs = o.gate().toFloatArray();
                float[] out = o.out().toFloatArray();
                for (int n = 0; n < out.length; n++) {
                    float twoSteps = combination == Combination.ADD ? ys[n] + gs[n] : ys[n] * gs[n];
                    assertThat(out[n]).isEqualTo((float) Floats.round(type, twoSteps));
                }
            }
        }
    }

    /** Scores far beyond the range of exp: the largest takes all. */
    @ParameterizedTest
    @MethodSource("targetsAndTypes")
    void hugeScores(Target target, DataType type) {
        try (Arena arena = Arena.ofConfined()) {
            Sample sample = Sample.of(arena, GATED, type, SQUARE);
            for (int i = 0; i < 70; i++) {
                for (int d = 0; d < 64; d++) {
                    sample.operands().q().setFloat(32 * sample.operands().q().getFloat(0, i, 1, d), 0, i, 1, d);
                    sample.operands().k().setFloat(16 * sample.operands().k().getFloat(0, i, 0, d), 0, i, 0, d);
                }
            }
            run(sample, target);
            Expected expected = sample.expected();
            assertThat(sample.compare(expected)).isNull();
            assertThat(Arrays.stream(DoubleTensor.of(sample.operands().lse()).values()))
                    .allMatch(Double::isFinite);
        }
    }

    /** A small number of keys with equal scores: the mean of their values, exactly. */
    @ParameterizedTest
    @MethodSource("targetsAndTypes")
    void scaleZeroIsTheMean(Target target, DataType type) {
        try (Arena arena = Arena.ofConfined()) {
            Sample sample =
                    Sample.of(arena, GATED.withMask(false, -1, -1), type, new Sample.Shape(1, 3, 4, 2, 1, 64, 64));
            Operands o = sample.operands();
            o.q().segment().fill((byte) 0);
            for (int j = 0; j < 4; j++) {
                o.v().setFloat(j, 0, j, 0, 7);
            }
            o.gate().setFloat(0, 0, 1, 1, 7);
            run(sample, target);
            assertThat(o.out().getFloat(0, 1, 1, 7)).isEqualTo(0.75f);
            assertThat(o.lse().getFloat(0, 1, 1))
                    .isCloseTo((float) Math.log(4), offset(type == DataType.F32 ? 1e-5f : 2e-3f));
        }
    }

    /** The stride of an axis of one element leads nowhere, so it may be anything. */
    @ParameterizedTest
    @MethodSource("targetsAndTypes")
    void axesOfOneElementMayHaveAnyStride(Target target, DataType type) {
        for (int queries : new int[] {1, 5}) {
            try (Arena arena = Arena.ofConfined()) {
                Sample sample = Sample.of(arena, GATED, type, new Sample.Shape(1, queries, 9, 1, 1, 64, 64));
                run(sample, target);
                float[] expected = sample.out().toFloatArray();
                for (long stride : new long[] {0, 3, 1L << 60}) {
                    Operands o = sample.operands();
                    Sample strange = sample.with(Operands.of(
                                    strange(o.q(), stride),
                                    strange(o.k(), stride),
                                    strange(o.v(), stride),
                                    strange(o.gate(), stride),
                                    strange(o.out(), stride))
                            .withLse(strange(o.lse(), stride)));
                    run(strange, target);
                    assertThat(sample.out().toFloatArray())
                            .as("stride %d", stride)
                            .isEqualTo(expected);
                }
            }
        }
    }

    private static Tensor strange(Tensor tensor, long stride) {
        long[] strides = tensor.strides();
        for (int axis = 0; axis < tensor.rank() - 1; axis++) {
            if (tensor.dim(axis) == 1) {
                strides[axis] = stride;
            }
        }
        return Tensor.of(tensor.segment(), tensor.dataType(), tensor.shape(), strides);
    }
}
