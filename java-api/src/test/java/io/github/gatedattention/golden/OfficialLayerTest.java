package io.github.gatedattention.golden;

import io.github.gatedattention.DataType;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Expected;
import io.github.gatedattention.testing.Target;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The official attention layer: without a gate, with a score per head, with a score per element. */
class OfficialLayerTest {
    private static final int[] LENGTHS = {1, 7, 33, 128};
    /** The official float32 layer's distance from its own float64 version is up to 1.3e-6. */
    private static final double OFFICIAL_F32_ERROR = 2e-6;

    private enum Case {
        NONE("none", Packing.Q_ONLY),
        HEADWISE("headwise", Packing.GROUPED_HEADWISE),
        ELEMENTWISE("elementwise", Packing.GROUPED_ELEMENTWISE);

        final GoldenFile file;
        final AttentionLayer layer;

        Case(String gate, Packing packing) {
            file = new GoldenFile("official_attn/" + gate + "_h4_kv2_d64.safetensors");
            layer = AttentionLayer.official(file, packing);
        }

        AttentionLayer.Projected project(int length) {
            String x = "s" + length + ".x";
            return layer.project(file.values(x), file.shape(x)[0], length, 0);
        }
    }

    static Stream<Arguments> casesAndTargets() {
        return Arrays.stream(Case.values()).flatMap(c -> Target.all().map(target -> Arguments.of(c, target)));
    }

    /** The test's own projections, norm, RoPE and reference are the official ones, so that the next test means something. */
    @Test
    void referenceIsTheOfficialLayer() {
        for (Case c : Case.values()) {
            for (int length : LENGTHS) {
                String s = "s" + length + ".";
                AttentionLayer.Projected projected = c.project(length);
                Expected expected = Checks.expected(projected, DataType.F32);
                String what = c + " " + s;
                compare(c, s + "q_rope_f64", projected.q());
                compare(c, s + "k_rope_f64", projected.k());
                compare(c, s + "v_f64", projected.v());
                if (projected.gate() != null) {
                    compare(c, s + "gate_logits_f64", projected.gate());
                }
                compare(c, s + "sdpa_out_f64", expected.attention());
                compare(c, s + "lse_f64", expected.lse());
                Checks.within(
                        what, c.layer.output(expected.out()), c.file.values(s + "y_f64_pure"), Checks.SAME_IN_FLOAT64);
            }
        }
    }

    private static void compare(Case c, String key, DoubleTensor actual) {
        // The longest sequences come with the layer's output alone.
        if (c.file.has(key)) {
            Checks.within(c + " " + key, actual.values(), c.file.values(key), Checks.SAME_IN_FLOAT64);
        }
    }

    @ParameterizedTest
    @MethodSource("casesAndTargets")
    void layerOutput(Case c, Target target) {
        for (int length : LENGTHS) {
            AttentionLayer.Projected projected = c.project(length);
            for (DataType type : Checks.TYPES) {
                String what = c + " s" + length + " " + type + " on " + target;
                Expected rounded = Checks.expected(projected.rounded(type), type);
                Expected exact = Checks.beforeRounding(projected, type);
                try (LayerCall call = new LayerCall(target, type, projected, length)) {
                    DoubleTensor out = call.append(0, length).all().out();
                    Checks.within(what, out, rounded.out(), rounded.outBound());
                    Checks.within(what + " lse", call.lse(), rounded.lse(), rounded.lseBound());
                    double[] y = c.layer.output(out);
                    double[] bound = Checks.plus(c.layer.outputBound(exact.outBound()), Checks.SAME_IN_FLOAT64);
                    Checks.within(what + " y", y, c.file.values("s" + length + ".y_f64_pure"), bound);
                    Checks.within(
                            what + " y against float32",
                            y,
                            c.file.values("s" + length + ".y_f32_official"),
                            Checks.plus(bound, OFFICIAL_F32_ERROR));
                }
            }
        }
    }
}
