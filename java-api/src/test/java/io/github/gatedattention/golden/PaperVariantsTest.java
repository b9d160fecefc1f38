package io.github.gatedattention.golden;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.Activation;
import io.github.gatedattention.Combination;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Expected;
import io.github.gatedattention.reference.Floats;
import io.github.gatedattention.reference.Reference;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Region;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Every row of the paper's tables whose gate is at the attention output (G1), and the baseline. */
class PaperVariantsTest {
    private static final GoldenFile FILE = new GoldenFile("paper_variants/variants.safetensors");
    private static final AttentionLayer LAYER =
            AttentionLayer.read(FILE, "w.", "", Packing.Q_ONLY, FILE.shape("w.q_norm")[0], 10_000, false);
    private static final int[] LENGTHS = {1, 7, 33};

    /** A setting of the operator, and the scores it takes. */
    private enum Variant {
        BASELINE("baseline", plain()),
        ELEMENTWISE_SIGMOID("g1_elementwise_sigmoid", gated(Activation.SIGMOID)),
        HEADWISE_SIGMOID("g1_headwise_sigmoid", plain().withHeadwiseGate(Activation.SIGMOID)),
        HEAD_SHARED_LOGITS("g1_headshared_logitmean", gated(Activation.SIGMOID)),
        // The mean of sigmoids is no sigmoid of one score: the scores are averaged first, and the gate takes them as
        // they are.
        HEAD_SHARED_SCORES("g1_headshared_scoremean", gated(Activation.IDENTITY)),
        INPUT_INDEPENDENT("g1_input_independent", gated(Activation.SIGMOID)),
        ELEMENTWISE_SILU("g1_elementwise_silu", gated(Activation.SILU)),
        ELEMENTWISE_NS_SIGMOID("g1_elementwise_nssigmoid", gated(Activation.NS_SIGMOID)),
        ADDITIVE_SILU("g1_additive_silu", plain().withGate(Activation.SILU, Combination.ADD)),
        ADDITIVE_IDENTITY("g1_additive_identity", plain().withGate(Activation.IDENTITY, Combination.ADD)),
        RMS_NORM("g1_sdpa_rmsnorm", plain().withPre(Setting.Pre.RMS_NORM, 1e-6f)),
        SILU("g1_sdpa_silu", plain().withPre(Setting.Pre.SILU, 0));

        final String key;
        final Setting setting;

        Variant(String key, Setting setting) {
            this.key = key;
            this.setting = setting;
        }

        private static Setting plain() {
            return Setting.causal(LAYER.dim());
        }

        private static Setting gated(Activation activation) {
            return plain().withGate(activation, Combination.MULTIPLY);
        }

        /** The scores for hidden states {@code [B, S, hidden]}; an axis of 1 is shared. */
        @Nullable
        DoubleTensor gate(double[] x, int batch, int sequence) {
            int heads = LAYER.headsQ();
            int dim = LAYER.dim();
            return switch (this) {
                case BASELINE, RMS_NORM, SILU -> null;
                case HEADWISE_SIGMOID -> scores("w.gate_q", x, batch, sequence, heads, 1);
                case HEAD_SHARED_LOGITS -> meanOverHeads(scores("w.gate_qd", x, batch, sequence, heads, dim));
                case HEAD_SHARED_SCORES -> {
                    DoubleTensor scores = scores("w.gate_qd", x, batch, sequence, heads, dim);
                    Arrays.setAll(scores.values(), n -> 1 / (1 + Math.exp(-scores.values()[n])));
                    yield meanOverHeads(scores);
                }
                case INPUT_INDEPENDENT -> FILE.tensor("w.input_indep");
                default -> scores("w.gate_qd", x, batch, sequence, heads, dim);
            };
        }

        @Nullable
        DoubleTensor normWeight() {
            return this == RMS_NORM ? FILE.tensor("w.sdpa_norm") : null;
        }
    }

    private static DoubleTensor scores(String weight, double[] x, int batch, int sequence, int heads, int width) {
        return new DoubleTensor(
                LayerMath.linear(x, FILE.values(weight), LAYER.hidden()), new int[] {batch, sequence, heads, width});
    }

    private static DoubleTensor meanOverHeads(DoubleTensor scores) {
        int[] shape = scores.shape();
        DoubleTensor mean = DoubleTensor.zeros(shape[0], shape[1], 1, shape[3]);
        for (int b = 0; b < shape[0]; b++) {
            for (int i = 0; i < shape[1]; i++) {
                for (int h = 0; h < shape[2]; h++) {
                    for (int d = 0; d < shape[3]; d++) {
                        mean.values()[mean.index(b, i, 0, d)] += scores.get(b, i, h, d) / shape[2];
                    }
                }
            }
        }
        return mean;
    }

    /** One length of one variant. */
    private record Case(
            Variant variant,
            int length,
            AttentionLayer.Projected operands,
            @Nullable DoubleTensor gate) {
        static Case of(Variant variant, int length) {
            String x = "s" + length + ".x";
            int batch = FILE.shape(x)[0];
            return new Case(
                    variant,
                    length,
                    LAYER.project(FILE.values(x), batch, length, 0),
                    variant.gate(FILE.values(x), batch, length));
        }

        Reference.Builder reference(DataType type, boolean rounded) {
            AttentionLayer.Projected p = rounded ? operands.rounded(type) : operands;
            DoubleTensor scores = gate == null ? null : rounded ? gate.rounded(type) : gate;
            return Reference.of(variant.setting, type, p.q(), p.k(), p.v())
                    .gate(scores)
                    .normWeight(variant.normWeight());
        }

        double[] published() {
            return FILE.values("s" + length + "." + variant.key + ".y_f64");
        }
    }

    static Stream<Arguments> variantsAndTargets() {
        return Arrays.stream(Variant.values()).flatMap(v -> Target.all().map(target -> Arguments.of(v, target)));
    }

    @Test
    void referenceIsThePaper() {
        for (Variant variant : Variant.values()) {
            for (int length : LENGTHS) {
                Case c = Case.of(variant, length);
                Expected expected = c.reference(DataType.F32, false).compute();
                Checks.within(
                        variant + " s" + length, LAYER.output(expected.out()), c.published(), Checks.SAME_IN_FLOAT64);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("variantsAndTargets")
    void layerOutput(Variant variant, Target target) {
        for (int length : LENGTHS) {
            Case c = Case.of(variant, length);
            for (DataType type : Checks.TYPES) {
                String what = variant + " s" + length + " " + type + " on " + target;
                Expected rounded = c.reference(type, true).compute();
                Expected exact = c.reference(type, false)
                        .inputError(Floats.roundoff(type))
                        .compute();
                DoubleTensor out = run(c, target, type);
                Checks.within(what, out, rounded.out(), rounded.outBound());
                double[] bound = Checks.plus(LAYER.outputBound(exact.outBound()), Checks.SAME_IN_FLOAT64);
                Checks.within(what + " y", LAYER.output(out), c.published(), bound);
            }
        }
    }

    private static DoubleTensor run(Case c, Target target, DataType type) {
        try (Arena arena = Arena.ofConfined();
                GatedAttention attention = target.builder(
                                c.variant.setting, type, c.operands.q(), c.operands.k(), c.operands.v())
                        .build()) {
            Region out = empty(arena, type, c.operands.q().shape()).remember();
            DoubleTensor weight = c.variant.normWeight();
            attention.forward(Operands.of(
                            filled(arena, type, c.operands.q()),
                            filled(arena, type, c.operands.k()),
                            filled(arena, type, c.operands.v()),
                            c.gate == null ? null : filled(arena, type, c.gate),
                            out.view())
                    .withNormWeight(
                            weight == null
                                    ? null
                                    : filled(arena, DataType.F32, weight).reshape(LAYER.headsQ(), LAYER.dim())));
            assertThat(out.changedOutside()).isFalse();
            return out.values();
        }
    }

    private static Tensor filled(Arena arena, DataType type, DoubleTensor values) {
        return empty(arena, type, values.shape()).fill(values).view();
    }

    private static Region empty(Arena arena, DataType type, int[] shape) {
        long[] extents = Arrays.stream(shape).asLongStream().toArray();
        long[] strides = new long[4];
        strides[3] = 1;
        for (int axis = 2; axis >= 0; axis--) {
            strides[axis] = strides[axis + 1] * extents[axis + 1];
        }
        return new Region(arena, type, extents, strides, 0);
    }
}
