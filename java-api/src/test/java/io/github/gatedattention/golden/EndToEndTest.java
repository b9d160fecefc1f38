package io.github.gatedattention.golden;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.Activation;
import io.github.gatedattention.Combination;
import io.github.gatedattention.DataType;
import io.github.gatedattention.Rope;
import io.github.gatedattention.Sequences;
import io.github.gatedattention.golden.ProductLayer.Scores;
import io.github.gatedattention.golden.ProductLayer.Spec;
import io.github.gatedattention.golden.ProductLayer.Weights;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Target;
import java.util.Arrays;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/**
 * Layers from hidden states to hidden states through this library's own prologue, attention and epilogue: every row of the paper's
 * tables, the official layer, and layers of other models.
 */
class EndToEndTest {
    private static final GoldenFile PAPER = new GoldenFile("paper_variants/variants.safetensors");
    private static final int HEADS = 4;
    private static final int GROUPS = 2;
    private static final int DIM = 64;
    private static final Spec PLAIN = Spec.plain(HEADS, GROUPS, DIM);

    /**
     * How far a layer's output may be off, as a share of the largest element of all: projections, norms and attention each round once
     * to the type, and the sums of the output projection run over 256 of those. PyTorch's own float32 is 2.7e-6 off.
     */
    private static double tolerance(DataType type) {
        return switch (type) {
            case F32 -> 2e-6;
            case BF16 -> 2e-2;
            default -> 2.5e-3;
        };
    }

    private static void close(String what, DataType type, double[] actual, double[] expected) {
        double largest = Arrays.stream(expected).map(Math::abs).max().orElseThrow();
        double worst = 0;
        for (int n = 0; n < expected.length; n++) {
            double error = Math.abs(actual[n] - expected[n]);
            worst = error > worst || Double.isNaN(error) ? error : worst;
        }
        assertThat(worst / largest).as(what).isLessThanOrEqualTo(tolerance(type));
    }

    /** Where a row of the paper has its gate. */
    private enum Row {
        BASELINE("baseline", PLAIN),
        G1_ELEMENTWISE("g1_elementwise_sigmoid", g1(Activation.SIGMOID, Combination.MULTIPLY)),
        G1_HEADWISE("g1_headwise_sigmoid", PLAIN.with(Setting.causal(DIM).withHeadwiseGate(Activation.SIGMOID))),
        G1_SHARED_LOGITS("g1_headshared_logitmean", g1(Activation.SIGMOID, Combination.MULTIPLY)),
        G1_SHARED_SCORES("g1_headshared_scoremean", g1(Activation.IDENTITY, Combination.MULTIPLY)),
        G1_ADDITIVE_SILU("g1_additive_silu", g1(Activation.SILU, Combination.ADD)),
        G1_ADDITIVE_IDENTITY("g1_additive_identity", g1(Activation.IDENTITY, Combination.ADD)),
        G1_SILU("g1_elementwise_silu", g1(Activation.SILU, Combination.MULTIPLY)),
        G1_NS_SIGMOID("g1_elementwise_nssigmoid", g1(Activation.NS_SIGMOID, Combination.MULTIPLY)),
        G1_INPUT_INDEPENDENT("g1_input_independent", g1(Activation.SIGMOID, Combination.MULTIPLY)),
        SDPA_SILU("g1_sdpa_silu", PLAIN.with(Setting.causal(DIM).withPre(Setting.Pre.SILU, 0))),
        SDPA_RMS_NORM("g1_sdpa_rmsnorm", PLAIN.with(Setting.causal(DIM).withPre(Setting.Pre.RMS_NORM, 1e-6f))),
        G2_ELEMENTWISE("g2_v_elementwise", PLAIN.withGateOn(2)),
        G2_HEADWISE("g2_v_headwise", PLAIN.withGateOn(2)),
        G2_SHARED_LOGITS("g2_v_headshared_logitmean", PLAIN.withGateOn(2)),
        // The mean of sigmoids is no sigmoid of one score: the scores are averaged first, and the gate takes them as
        // they are.
        G2_SHARED_SCORES("g2_v_headshared_scoremean", PLAIN.withGateOn(2, Activation.IDENTITY)),
        G3("g3_k_elementwise", PLAIN.withGateOn(1)),
        G4("g4_q_elementwise", PLAIN.withGateOn(0)),
        G5("g5_dense_output", PLAIN.withGatedOutput());

        final String key;
        final Spec spec;

        Row(String key, Spec spec) {
            this.key = key;
            this.spec = spec;
        }

        private static Spec g1(Activation activation, Combination combination) {
            return PLAIN.with(Setting.causal(DIM).withGate(activation, combination));
        }

        Scores scores(double[] x, int batch, int sequence) {
            return switch (this) {
                case BASELINE, SDPA_SILU, SDPA_RMS_NORM -> Scores.NONE;
                case G1_HEADWISE -> attention(project("w.gate_q", x, batch, sequence, HEADS, 1));
                case G1_SHARED_LOGITS -> attention(mean(project("w.gate_qd", x, batch, sequence, HEADS, DIM), false));
                case G1_SHARED_SCORES -> attention(mean(project("w.gate_qd", x, batch, sequence, HEADS, DIM), true));
                case G1_INPUT_INDEPENDENT -> attention(PAPER.tensor("w.input_indep"));
                case G2_ELEMENTWISE -> value(project("w.gate_kvd", x, batch, sequence, GROUPS, DIM));
                case G2_HEADWISE -> value(project("w.gate_kv", x, batch, sequence, GROUPS, 1));
                case G2_SHARED_LOGITS -> value(mean(project("w.gate_kvd", x, batch, sequence, GROUPS, DIM), false));
                case G2_SHARED_SCORES -> value(mean(project("w.gate_kvd", x, batch, sequence, GROUPS, DIM), true));
                case G3 -> new Scores(null, null, project("w.gate_kvd", x, batch, sequence, GROUPS, DIM), null, null);
                case G4 -> new Scores(null, project("w.gate_qd", x, batch, sequence, HEADS, DIM), null, null, null);
                case G5 -> new Scores(null, null, null, null, project("w.gate_model", x, batch, sequence, 1, 64));
                default -> attention(project("w.gate_qd", x, batch, sequence, HEADS, DIM));
            };
        }

        private static Scores attention(DoubleTensor scores) {
            return new Scores(scores, null, null, null, null);
        }

        private static Scores value(DoubleTensor scores) {
            return new Scores(null, null, null, scores, null);
        }

        @Nullable
        DoubleTensor sdpaNorm() {
            return this == SDPA_RMS_NORM ? PAPER.tensor("w.sdpa_norm") : null;
        }
    }

    private static DoubleTensor project(String weight, double[] x, int batch, int sequence, int heads, int width) {
        double[] values = LayerMath.linear(x, PAPER.values(weight), 64);
        return new DoubleTensor(values, new int[] {batch, sequence, heads, width});
    }

    private static DoubleTensor mean(DoubleTensor scores, boolean ofSigmoids) {
        int[] shape = scores.shape();
        DoubleTensor mean = DoubleTensor.zeros(shape[0], shape[1], 1, shape[3]);
        for (int b = 0; b < shape[0]; b++) {
            for (int i = 0; i < shape[1]; i++) {
                for (int h = 0; h < shape[2]; h++) {
                    for (int d = 0; d < shape[3]; d++) {
                        double score = scores.get(b, i, h, d);
                        mean.values()[mean.index(b, i, 0, d)] +=
                                (ofSigmoids ? 1 / (1 + Math.exp(-score)) : score) / shape[2];
                    }
                }
            }
        }
        return mean;
    }

    static Stream<Arguments> rowsAndTargets() {
        return Arrays.stream(Row.values()).flatMap(row -> Target.all().map(target -> Arguments.of(row, target)));
    }

    @ParameterizedTest
    @MethodSource("rowsAndTargets")
    void rowsOfThePaper(Row row, Target target) {
        for (DataType type : Checks.TYPES) {
            try (ProductLayer layer = new ProductLayer(target, type, row.spec, Weights.of(PAPER, ""), row.sdpaNorm())) {
                for (int length : new int[] {1, 7, 33}) {
                    double[] x = PAPER.values("s" + length + ".x");
                    int batch = PAPER.shape("s" + length + ".x")[0];
                    double[] y = layer.run(x, batch, length, row.scores(x, batch, length), null);
                    close(
                            row + " s" + length + " " + type + " on " + target,
                            type,
                            y,
                            PAPER.values("s" + length + "." + row.key + ".y_f64"));
                }
            }
        }
    }

    /** Layers of models, and how they are made. */
    private enum Model {
        OFFICIAL_NONE("official_attn/none_h4_kv2_d64", "y_f64_pure", PLAIN, 1, 7, 33, 128),
        OFFICIAL_HEADWISE(
                "official_attn/headwise_h4_kv2_d64",
                "y_f64_pure",
                PLAIN.with(Packing.GROUPED_HEADWISE, Setting.causal(DIM).withHeadwiseGate(Activation.SIGMOID)),
                1,
                7,
                33,
                128),
        OFFICIAL_ELEMENTWISE(
                "official_attn/elementwise_h4_kv2_d64",
                "y_f64_pure",
                PLAIN.with(Packing.GROUPED_ELEMENTWISE, elementwise()),
                1,
                7,
                33,
                128),
        QWEN3_NEXT(
                "hf_5_18/qwen3_next_attn_h4_kv2_d64",
                "y_f64_asis",
                PLAIN.with(Packing.PER_HEAD, elementwise()).with(1e-6f, true, Rope.of(16, 1e7)),
                7,
                33),
        STEP3P7(
                "hf_5_18/step3p7_attn_headwise",
                "y_f64_asis",
                PLAIN.with(Setting.causal(DIM).withHeadwiseGate(Activation.SIGMOID))
                        .with(1e-5f, true, Rope.of(64, 1e4)),
                7,
                33),
        AFMOE(
                "hf_5_18/afmoe_attn_sliding",
                "y_f64_asis",
                PLAIN.with(elementwise().withMask(true, 7, -1)).with(1e-5f, false, Rope.of(64, 1e4)),
                7,
                33),
        LAGUNA(
                "hf_5_18/laguna_attn_softplus_per-head",
                "y_f64_asis",
                PLAIN.with(Setting.causal(DIM).withHeadwiseGate(Activation.SOFTPLUS))
                        .with(1e-6f, false, Rope.of(32, 5e5)),
                7,
                33);

        final GoldenFile file;
        final String key;
        final Spec spec;
        final int[] lengths;

        Model(String file, String key, Spec spec, int... lengths) {
            this.file = new GoldenFile(file + ".safetensors");
            this.key = key;
            this.spec = spec;
            this.lengths = lengths;
        }

        private static Setting elementwise() {
            return Setting.causal(DIM).withGate(Activation.SIGMOID, Combination.MULTIPLY);
        }

        /** Of a projection of its own, where the model has one. */
        Scores scores(double[] x, int batch, int sequence) {
            String name = this == AFMOE ? "w.gate_proj.weight" : "w.g_proj.weight";
            if (!file.has(name)) {
                return Scores.NONE;
            }
            int width = file.shape(name)[0] / HEADS;
            double[] values = LayerMath.linear(x, file.values(name), file.shape(name)[1]);
            return new Scores(
                    new DoubleTensor(values, new int[] {batch, sequence, HEADS, width}), null, null, null, null);
        }
    }

    static Stream<Arguments> modelsAndTargets() {
        return Arrays.stream(Model.values()).flatMap(model -> Target.all().map(target -> Arguments.of(model, target)));
    }

    @ParameterizedTest
    @MethodSource("modelsAndTargets")
    void layersOfModels(Model model, Target target) {
        for (DataType type : Checks.TYPES) {
            try (ProductLayer layer =
                    new ProductLayer(target, type, model.spec, Weights.of(model.file, ".weight"), null)) {
                for (int length : model.lengths) {
                    String s = "s" + length + ".";
                    double[] x = model.file.values(s + "x");
                    int batch = model.file.shape(s + "x")[0];
                    double[] y = layer.run(x, batch, length, model.scores(x, batch, length), null);
                    close(model + " " + s + type + " on " + target, type, y, model.file.values(s + model.key));
                }
            }
        }
    }

    private enum Padded {
        HEADWISE(
                "headwise",
                PLAIN.with(Packing.GROUPED_HEADWISE, Setting.causal(DIM).withHeadwiseGate(Activation.SIGMOID))),
        ELEMENTWISE("elementwise", PLAIN.with(Packing.GROUPED_ELEMENTWISE, Model.elementwise()));

        final GoldenFile file;
        final Spec spec;

        Padded(String gate, Spec spec) {
            this.file = new GoldenFile("official_attn/" + gate + "_padding_and_decode.safetensors");
            this.spec = spec;
        }
    }

    static Stream<Arguments> paddedAndTargets() {
        return Arrays.stream(Padded.values()).flatMap(c -> Target.all().map(target -> Arguments.of(c, target)));
    }

    /** A left-padded batch; positions count from 0 in every row. */
    @ParameterizedTest
    @MethodSource("paddedAndTargets")
    void leftPadding(Padded c, Target target) {
        int batch = c.file.shape("x")[0];
        int length = c.file.shape("x")[1];
        double[] valid = c.file.values("valid_rows");
        int[] starts = new int[batch];
        for (int b = 0; b < batch; b++) {
            while (valid[b * length + starts[b]] == 0) {
                starts[b]++;
            }
        }
        for (DataType type : Checks.TYPES) {
            try (ProductLayer layer = new ProductLayer(target, type, c.spec, Weights.of(c.file, ".weight"), null)) {
                double[] y = layer.run(
                        c.file.values("x"), batch, length, Scores.NONE, Sequences.leftPadded(layer.starts(starts)));
                double[] expected = c.file.values("y_f64_pure");
                int hidden = y.length / (batch * length);
                for (int n = 0; n < y.length; n++) {
                    if (valid[n / hidden] == 0) {
                        y[n] = 0;
                        expected[n] = 0;
                    }
                }
                close(c + " padded " + type + " on " + target, type, y, expected);
            }
        }
    }

    /** A prefill of 6 tokens, then one token at a time, the prologue writing into a cache. */
    @ParameterizedTest
    @MethodSource("paddedAndTargets")
    void cachedDecode(Padded c, Target target) {
        int length = c.file.shape("decode_x")[1];
        for (DataType type : Checks.TYPES) {
            try (ProductLayer layer = new ProductLayer(target, type, c.spec, Weights.of(c.file, ".weight"), null)) {
                for (boolean paged : new boolean[] {false, true}) {
                    double[] y = layer.decode(c.file.values("decode_x"), length, 6, paged);
                    close(c + " decode " + type + " on " + target, type, y, c.file.values("decode_y_f64_pure"));
                }
            }
        }
    }
}
