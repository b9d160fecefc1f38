package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import io.github.gatedattention.reference.Activations;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.RaggedBatch;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Measurements against float64 that holds the whole matrix of probabilities. */
class MeasureTest {
    private static final AttentionProbe PROBE = AttentionProbe.firstToken()
            .withRange(2, 9)
            .withRange(0, 1000)
            .withRange(4, 4)
            .withEntropy()
            .withMap(11);
    private static final Sample.Shape SHAPE = new Sample.Shape(2, 57, 83, 4, 2, 40, 40);

    private enum Kind {
        CAUSAL(Setting.causal(40)),
        WINDOW(Setting.causal(40).withMask(true, 9, -1)),
        TWO_SIDED(Setting.causal(40).withMask(false, 5, 30)),
        CAPPED(Setting.causal(40).withScores(0.3f, 2)),
        FLIPPED(Setting.causal(40).withScores(-0.2f, 0));

        final Setting setting;

        Kind(Setting setting) {
            this.setting = setting;
        }
    }

    static Stream<Arguments> targetsAndKinds() {
        return Target.all().flatMap(target -> Arrays.stream(Kind.values()).map(kind -> Arguments.of(target, kind)));
    }

    static Stream<Target> targets() {
        return Target.all();
    }

    static Stream<Target> backends() {
        return Target.backends();
    }

    @ParameterizedTest
    @MethodSource("targetsAndKinds")
    void agreesWithTheMatrix(Target target, Kind kind) {
        for (DataType type : new DataType[] {DataType.F32, DataType.BF16, DataType.F16}) {
            try (Arena arena = Arena.ofShared()) {
                Sample sample = Sample.of(arena, kind.setting, type, SHAPE);
                sample = sample.with(sample.operands()
                        .withSink(Tensor.copyOf(arena, DataType.F32, new float[] {0.5f, -2, 1, 3}, 4)));
                try (GatedAttention attention = sample.builder(target).build()) {
                    attention.forward(sample.operands());
                    AttentionStatistics all = attention.measure(sample.operands(), PROBE);
                    AttentionStatistics cheap = attention.measure(sample.operands(), AttentionProbe.firstToken());
                    double error = type == DataType.F32 ? 1e-5 : 3e-3;
                    compare(sample.operands(), DoubleTensor.of(sample.operands().k()), kind.setting, all, error);
                    for (int h = 0; h < SHAPE.headsQ(); h++) {
                        assertThat(cheap.firstToken(h)).isCloseTo(all.firstToken(h), offset(1e-6));
                        assertThat(cheap.entropy(h)).isNaN();
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("targetsAndKinds")
    void agreesWithTheMatrixOfAnInt8Cache(Target target, Kind kind) {
        try (Arena arena = Arena.ofShared()) {
            Sample sample = Sample.of(arena, kind.setting, DataType.F32, SHAPE);
            Operands o = sample.operands();
            Tensor k = Tensor.allocate(arena, DataType.I8, o.k().shape());
            Tensor v = Tensor.allocate(arena, DataType.I8, o.v().shape());
            Tensor scales = Tensor.allocate(arena, DataType.F32, SHAPE.batch(), SHAPE.seqK(), SHAPE.headsKv());
            double[] values = new double[Math.toIntExact(k.segment().byteSize())];
            Random random = new Random(8);
            for (int n = 0; n < values.length; n++) {
                int row = n / SHAPE.dim();
                if (n % SHAPE.dim() == 0) {
                    scales.segment().setAtIndex(ValueLayout.JAVA_FLOAT, row, 0.005f + 0.02f * random.nextFloat());
                }
                byte whole = (byte) random.nextInt(-127, 128);
                k.segment().set(ValueLayout.JAVA_BYTE, n, whole);
                values[n] = whole * (double) scales.segment().getAtIndex(ValueLayout.JAVA_FLOAT, row);
            }
            Operands whole = Operands.of(o.q(), k, v, o.gate(), o.out())
                    .withLse(o.lse())
                    .withSink(Tensor.copyOf(arena, DataType.F32, new float[] {0.5f, -2, 1, 3}, 4))
                    .withScales(new Scales(scales, scales));
            try (GatedAttention attention = sample.builder(target).build()) {
                attention.forward(whole);
                AttentionStatistics all = attention.measure(whole, PROBE);
                AttentionStatistics cheap = attention.measure(whole, AttentionProbe.firstToken());
                DoubleTensor exact =
                        new DoubleTensor(values, new int[] {SHAPE.batch(), SHAPE.seqK(), SHAPE.headsKv(), SHAPE.dim()});
                compare(whole, exact, kind.setting, all, 1e-5);
                for (int h = 0; h < SHAPE.headsQ(); h++) {
                    assertThat(cheap.firstToken(h)).isCloseTo(all.firstToken(h), offset(1e-6));
                }
            }
        }
    }

    private static void compare(Operands o, DoubleTensor k, Setting setting, AttentionStatistics actual, double error) {
        DoubleTensor q = DoubleTensor.of(o.q());
        double[] sinks = DoubleTensor.of(o.sink()).values();
        for (int b = 0; b < SHAPE.batch(); b++) {
            for (int h = 0; h < SHAPE.headsQ(); h++) {
                double[] shares = new double[4];
                double[] map = new double[121];
                int[] counted = new int[11];
                double entropy = 0;
                int count = 0;
                for (int i = 0; i < SHAPE.seqQ(); i++) {
                    double[] p = probabilities(setting, q, k, b, i, h, sinks[h]);
                    if (p.length == 0) {
                        continue;
                    }
                    count++;
                    counted[i * 11 / SHAPE.seqQ()]++;
                    for (int j = 0; j < p.length; j++) {
                        shares[0] += j == 0 ? p[j] : 0;
                        shares[1] += j >= 2 && j < 9 ? p[j] : 0;
                        shares[2] += p[j];
                        entropy -= p[j] == 0 ? 0 : p[j] * Math.log(p[j]);
                        map[i * 11 / SHAPE.seqQ() * 11 + j * 11 / SHAPE.seqK()] += p[j];
                    }
                }
                AttentionStatistics.OfSequence sequence = actual.sequences().get(b);
                AttentionStatistics.OfHead head = sequence.heads().get(h);
                assertThat(sequence.queries()).isEqualTo(count);
                assertThat(head.firstToken()).isCloseTo(shares[0] / count, offset(error));
                for (int n = 1; n < 4; n++) {
                    assertThat(head.shares().get(n - 1)).isCloseTo(shares[n] / count, offset(error));
                }
                assertThat(head.entropy()).isCloseTo(entropy / count, offset(5 * error));
                for (int n = 0; n < map.length; n++) {
                    double expected = counted[n / 11] == 0 ? 0 : map[n] / counted[n / 11];
                    assertThat(head.map().get(n / 11, n % 11)).isCloseTo(expected, offset(error));
                }
            }
        }
    }

    /** Of all keys; empty when the query sees none. */
    private static double[] probabilities(
            Setting setting, DoubleTensor q, DoubleTensor k, int b, int i, int h, double sink) {
        long lo = setting.mask().firstKey(i, SHAPE.seqQ(), SHAPE.seqK());
        long hi = setting.mask().endKey(i, SHAPE.seqQ(), SHAPE.seqK());
        if (lo >= hi) {
            return new double[0];
        }
        double[] p = new double[SHAPE.seqK()];
        double sum = Math.exp(sink);
        for (int j = (int) lo; j < hi; j++) {
            double dot = 0;
            for (int d = 0; d < SHAPE.dim(); d++) {
                dot += q.get(b, i, h, d) * k.get(b, j, h / (SHAPE.headsQ() / SHAPE.headsKv()), d);
            }
            double score = setting.scale() * dot;
            p[j] = Math.exp(setting.softcap() > 0 ? setting.softcap() * Math.tanh(score / setting.softcap()) : score);
            sum += p[j];
        }
        double total = sum;
        return Arrays.stream(p).map(x -> x / total).toArray();
    }

    /** Padded, packed and paged: what each sequence gives alone. */
    @ParameterizedTest
    @MethodSource("targets")
    void sequencesMeasureAsTheyDoAlone(Target target) {
        int[] queries = {5, 0, 61, 1};
        int[] keys = {9, 4, 61, 130};
        RaggedBatch.Model model = new RaggedBatch.Model(Setting.causal(64), DataType.BF16, 4, 2, 64, 64, true);
        for (RaggedBatch.Queries queryLayout : RaggedBatch.Queries.values()) {
            for (RaggedBatch.Keys keyLayout : RaggedBatch.Keys.values()) {
                try (Arena arena = Arena.ofShared()) {
                    RaggedBatch batch = new RaggedBatch(arena, model, new Random(5), queries, keys);
                    try (GatedAttention attention = batch.builder(target).build()) {
                        batch.attendAlone(attention);
                        Operands together = batch.together(queryLayout, keyLayout);
                        attention.forward(together);
                        AttentionProbe probe =
                                AttentionProbe.firstToken().withRange(1, 40).withEntropy();
                        AttentionStatistics all = attention.measure(together, probe);
                        for (int b = 0; b < queries.length; b++) {
                            assertThat(all.sequences().get(b))
                                    .as("%s %s sequence %d", queryLayout, keyLayout, b)
                                    .isEqualTo(attention
                                            .measure(batch.alone(b), probe)
                                            .sequences()
                                            .getFirst());
                        }
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void countsValues(Target target) {
        try (Arena arena = Arena.ofShared();
                GatedAttention attention = target.builder(Setting.causal(8), DataType.F32, 1, 1, 8, 8)
                        .build()) {
            Random random = new Random(11);
            float[] scores = new float[2 * 30 * 3 * 24];
            for (int n = 0; n < scores.length; n++) {
                scores[n] = (float) random.nextGaussian() * 3;
            }
            Tensor values = Tensor.copyOf(arena, DataType.F32, scores, 2, 30, 3, 24);
            for (Activation activation : Activation.values()) {
                ValueProbe probe = ValueProbe.gate(activation).withHistogram(8, -1, 1);
                ValueStatistics.Summary all = attention.measure(values, probe).all();
                double[] x = new double[scores.length];
                Arrays.setAll(x, n -> Activations.apply(activation, scores[n]));
                double mean = Arrays.stream(x).average().orElseThrow();
                double variance = Arrays.stream(x)
                        .map(v -> (v - mean) * (v - mean))
                        .average()
                        .orElseThrow();
                assertThat(all.count()).isEqualTo(scores.length);
                assertThat(all.nans()).isZero();
                assertThat(all.mean()).isCloseTo(mean, offset(1e-6));
                assertThat(all.standardDeviation()).isCloseTo(Math.sqrt(variance), offset(1e-6));
                assertThat(all.min()).isCloseTo(Arrays.stream(x).min().orElseThrow(), offset(1e-6));
                assertThat(all.max()).isCloseTo(Arrays.stream(x).max().orElseThrow(), offset(2e-6));
                assertThat(all.largest())
                        .isCloseTo(Arrays.stream(x).map(Math::abs).max().orElseThrow(), offset(2e-6));
                // No value of this sample lies so near a limit that its rounding could cross it.
                assertThat(all.shareBelow()).isEqualTo(share(x, v -> v < 0.1));
                assertThat(all.shareAbove()).isEqualTo(share(x, v -> v > 0.9));
                assertThat(all.shareSmall()).isEqualTo(share(x, v -> Math.abs(v) < 1e-2));
                assertThat(all.shareSmaller()).isEqualTo(share(x, v -> Math.abs(v) < 1e-3));
                for (int bin = 0; bin < 8; bin++) {
                    double low = -1 + bin * 0.25;
                    boolean last = bin == 7;
                    assertThat((double) all.histogram().get(bin) / scores.length)
                            .as(activation + " bin " + bin)
                            .isCloseTo(share(x, v -> v >= low && (last ? v <= 1 : v < low + 0.25)), offset(1e-3));
                }
                assertThat(attention.measure(values, probe).heads()).hasSize(3);
            }
        }
    }

    private static double share(double[] x, java.util.function.DoublePredicate inside) {
        return (double) Arrays.stream(x).filter(inside).count() / x.length;
    }

    @ParameterizedTest
    @MethodSource("backends")
    void valuesOfAnyRank(Target target) {
        try (Arena arena = Arena.ofShared();
                GatedAttention attention = target.builder(Setting.causal(8), DataType.F32, 1, 1, 8, 8)
                        .build()) {
            float[] x = {1, -2, 3, 0, 0.005f, 5};
            for (long[] shape : new long[][] {{6}, {3, 2}, {1, 2, 3}, {1, 3, 2, 1}}) {
                ValueStatistics statistics =
                        attention.measure(Tensor.copyOf(arena, DataType.F32, x, shape), ValueProbe.values());
                assertThat(statistics.all().largest()).isEqualTo(5);
                assertThat(statistics.all().shareSmall()).isEqualTo(2.0 / 6);
                assertThat(statistics.heads()).hasSize(shape.length == 4 ? 2 : 1);
            }
            Tensor shared =
                    Tensor.copyOf(arena, DataType.F32, new float[] {2, 4}, 2, 1).expand(1, 5);
            assertThat(attention.measure(shared, ValueProbe.values()).all().mean())
                    .isEqualTo(3);
            Tensor nan = Tensor.copyOf(arena, DataType.F32, new float[] {2, Float.NaN}, 2);
            assertThat(attention.measure(nan, ValueProbe.values()).all().max()).isNaN();
            assertThat(attention.measure(nan, ValueProbe.values()).all().nans()).isEqualTo(1);
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void refusesWhatItCannotMeasure(Target target) {
        try (Arena arena = Arena.ofShared()) {
            Sample sample = Sample.of(arena, Setting.causal(40), DataType.F32, SHAPE);
            try (GatedAttention attention = sample.builder(target).build()) {
                Operands o = sample.operands();
                AttentionProbe probe = AttentionProbe.firstToken();
                assertThatThrownBy(() -> attention.measure(o.withLse(null), probe))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageContaining("lse is null");
                assertThatThrownBy(() -> attention.measure(
                                Operands.of(o.q(), o.k(), o.v(), null, o.q()).withLse(o.lse()), probe))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageContaining("out is exactly q");
                assertThatThrownBy(() -> attention.measure(
                                Operands.of(o.q().slice(3, 0, 32), o.k(), o.v(), null, o.out())
                                        .withLse(o.lse()),
                                probe))
                        .hasMessageContaining("q has 32 elements")
                        .hasMessageContaining("40");
                assertThatThrownBy(
                                () -> attention.measure(Tensor.allocate(arena, DataType.I32, 4), ValueProbe.values()))
                        .hasMessageContaining("values is I32");
                assertThatThrownBy(() -> attention.measure(
                                Tensor.allocate(arena, DataType.F32, 1, 1, 1, 1, 4), ValueProbe.values()))
                        .hasMessageContaining("values has 5 axes");
                assertThatThrownBy(() -> attention.measure(
                                Tensor.allocate(arena, DataType.F32, 4, 4).transpose(0, 1), ValueProbe.values()))
                        .hasMessageContaining("values has stride 4");
                assertThatThrownBy(() -> attention.measure(
                                Tensor.allocate(arena, DataType.F32, 2, 2, 0, 4), ValueProbe.values()))
                        .hasMessageContaining("values has 0 heads");
                attention.close();
                assertThatThrownBy(() -> attention.measure(o, probe)).isInstanceOf(IllegalStateException.class);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void refusesClosedMemory(Target target) {
        Arena arena = Arena.ofShared();
        Sample sample = Sample.of(arena, Setting.causal(40), DataType.F32, SHAPE);
        try (GatedAttention attention = sample.builder(target).build()) {
            arena.close();
            assertThatThrownBy(() -> attention.measure(sample.operands(), AttentionProbe.firstToken()))
                    .isInstanceOf(IllegalStateException.class);
            assertThatThrownBy(() -> attention.measure(sample.out(), ValueProbe.values()))
                    .isInstanceOf(IllegalStateException.class);
        }
    }

    @Test
    void refusesProbesOutOfRange() {
        assertThatThrownBy(() -> AttentionProbe.firstToken().withRange(-1, 3)).hasMessageContaining("-1 to 3");
        assertThatThrownBy(() -> AttentionProbe.firstToken().withRange(5, 3)).hasMessageContaining("5 to 3");
        assertThatThrownBy(() -> AttentionProbe.firstToken().withMap(0)).hasMessageContaining("cells is 0");
        assertThatThrownBy(() -> AttentionProbe.firstToken().withMap(5000)).hasMessageContaining("mapCells is 5000");
        AttentionProbe full = AttentionProbe.firstToken();
        for (int n = 0; n < 63; n++) {
            full = full.withRange(n, n + 1);
        }
        AttentionProbe most = full;
        assertThatThrownBy(() -> most.withRange(0, 1))
                .hasMessageContaining("64")
                .hasMessageContaining("63");
        assertThatThrownBy(() -> ValueProbe.values().withHistogram(5000, 0, 1)).hasMessageContaining("bins is 5000");
        assertThatThrownBy(() -> ValueProbe.values().withHistogram(5, 1, 1)).hasMessageContaining("low is 1.0");
        assertThatThrownBy(() -> ValueProbe.values().withHistogram(5, 0, Double.POSITIVE_INFINITY))
                .hasMessageContaining("Infinity");
    }

    @Test
    void sameBitsForAnyNumberOfThreads() {
        Target.backends().forEach(target -> {
            try (Arena arena = Arena.ofShared()) {
                Sample sample = Sample.of(arena, Setting.causal(40), DataType.F32, SHAPE);
                AttentionStatistics first = null;
                for (int threads : new int[] {2, 1, 4}) {
                    try (GatedAttention attention =
                            sample.builder(target).threads(threads).build()) {
                        attention.forward(sample.operands());
                        AttentionStatistics now = attention.measure(
                                sample.operands(),
                                AttentionProbe.firstToken().withEntropy().withRange(3, 50));
                        first = first == null ? now : first;
                        assertThat(now).isEqualTo(first);
                    }
                }
            }
        });
    }
}
