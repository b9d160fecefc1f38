package io.github.gatedattention.golden;

import io.github.gatedattention.DataType;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Expected;
import io.github.gatedattention.testing.Target;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The attention layer of Qwen3-Next: PER_HEAD packing, so q and gate are views of the projection as it lies. */
class Qwen3NextLayerTest {
    private static final GoldenFile FILE = new GoldenFile("hf_5_18/qwen3_next_attn_h4_kv2_d64.safetensors");
    private static final AttentionLayer LAYER = AttentionLayer.qwen3Next(FILE, "w.");
    private static final int[] LENGTHS = {1, 7, 33};
    /** The published outputs pass through float32 inside (norm, RoPE, softmax), those called f64 too. */
    private static final double FLOAT32_INSIDE = 2e-6;

    static Stream<Target> targets() {
        return Target.all();
    }

    private static AttentionLayer.Projected project(int length) {
        String x = "s" + length + ".x";
        return LAYER.project(FILE.values(x), FILE.shape(x)[0], length, 0);
    }

    @Test
    void referenceIsThePublishedLayer() {
        for (int length : LENGTHS) {
            Expected expected = Checks.expected(project(length), DataType.F32);
            double[] y = LAYER.output(expected.out());
            Checks.within("s" + length, y, FILE.values("s" + length + ".y_f64_asis"), FLOAT32_INSIDE);
            Checks.within("s" + length + " f32", y, FILE.values("s" + length + ".y_f32"), FLOAT32_INSIDE);
        }
        Expected seven = Checks.expected(project(7), DataType.F32);
        Checks.within("gated output", seven.out().values(), FILE.values("s7.gated_out_f32"), FLOAT32_INSIDE);
    }

    @ParameterizedTest
    @MethodSource("targets")
    void layerOutput(Target target) {
        for (int length : LENGTHS) {
            AttentionLayer.Projected projected = project(length);
            for (DataType type : Checks.TYPES) {
                String what = "s" + length + " " + type + " on " + target;
                Expected rounded = Checks.expected(projected.rounded(type), type);
                Expected exact = Checks.beforeRounding(projected, type);
                try (LayerCall call = new LayerCall(target, type, projected, length)) {
                    DoubleTensor out = call.append(0, length).all().out();
                    Checks.within(what, out, rounded.out(), rounded.outBound());
                    Checks.within(what + " lse", call.lse(), rounded.lse(), rounded.lseBound());
                    Checks.within(
                            what + " y",
                            LAYER.output(out),
                            FILE.values("s" + length + ".y_f64_asis"),
                            Checks.plus(LAYER.outputBound(exact.outBound()), FLOAT32_INSIDE));
                }
            }
        }
    }

    /** The same, token by token on a cache that is NaN beyond its length. */
    @ParameterizedTest
    @MethodSource("targets")
    void decodeGivesTheSame(Target target) {
        int length = 33;
        AttentionLayer.Projected projected = project(length);
        for (DataType type : Checks.TYPES) {
            Expected rounded = Checks.expected(projected.rounded(type), type);
            try (LayerCall call = new LayerCall(target, type, projected, length + 1)) {
                for (int token = 0; token < length; token++) {
                    call.append(token, token + 1).one(0, token, token + 1, 0, length + 1, token + 1);
                }
                Checks.within(type + " on " + target, call.out(), rounded.out(), rounded.outBound());
                Checks.within(type + " lse on " + target, call.lse(), rounded.lse(), rounded.lseBound());
            }
        }
    }
}
