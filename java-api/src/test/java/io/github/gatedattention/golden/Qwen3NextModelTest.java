package io.github.gatedattention.golden;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.DataType;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Expected;
import io.github.gatedattention.testing.Target;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** A whole model of two Qwen3-Next layers whose attention runs through the API; all else is float64. */
class Qwen3NextModelTest {
    private static final String FOLDER = "hf_5_18/tiny_qwen3_next_fullattn/";
    private static final GoldenFile GOLDEN = new GoldenFile(FOLDER + "golden.safetensors");
    private static final TinyModel MODEL = new TinyModel(new GoldenFile(FOLDER + "model.safetensors"));
    /** The published logits are float32 throughout; the tiny models of the same shape are 2.2e-6 off their float64 versions. */
    private static final double FLOAT32_LOGITS = 5e-6;

    static Stream<Target> targets() {
        return Target.all();
    }

    @Test
    void referenceIsThePublishedModel() {
        assertThat(MODEL.layers()).isEqualTo(2);
        double[] logits = logits(
                (index, operands) -> Checks.expected(operands, DataType.F32).out());
        Checks.within("logits", logits, GOLDEN.values("logits_f32"), FLOAT32_LOGITS);
    }

    private static double[] logits(TinyModel.Attention attention) {
        int[] shape = GOLDEN.shape("input_ids");
        return MODEL.logits(GOLDEN.values("input_ids"), shape[0], shape[1], attention);
    }

    /** Attention of every layer within its bound on the operands the model gives it; the logits are those of float64. */
    @ParameterizedTest
    @MethodSource("targets")
    void logits(Target target) {
        for (DataType type : Checks.TYPES) {
            double[] logits = logits((index, operands) -> checked(target, type, index, operands));
            if (type == DataType.F32) {
                Checks.within("logits on " + target, logits, GOLDEN.values("logits_f32"), 2 * FLOAT32_LOGITS);
            }
        }
    }

    private static DoubleTensor checked(Target target, DataType type, int index, AttentionLayer.Projected operands) {
        DoubleTensor out = run(target, type, operands);
        Expected expected = Checks.expected(operands.rounded(type), type);
        Checks.within("layer " + index + " " + type + " on " + target, out, expected.out(), expected.outBound());
        return out;
    }

    private static DoubleTensor run(Target target, DataType type, AttentionLayer.Projected operands) {
        try (LayerCall call = new LayerCall(target, type, operands, operands.sequence())) {
            return call.append(0, operands.sequence()).all().out();
        }
    }

    /** The 16 tokens that greedy decoding appends to each prompt. */
    @ParameterizedTest
    @MethodSource("targets")
    void greedyTokens(Target target) {
        int[] shape = GOLDEN.shape("input_ids");
        int prompt = shape[1];
        int tokens = GOLDEN.shape("greedy_ids")[1];
        for (int b = 0; b < shape[0]; b++) {
            // Every token of the finished text is the largest logit after those before it, so one pass checks all
            // steps.
            double[] text = new double[prompt + tokens];
            System.arraycopy(GOLDEN.values("input_ids"), b * prompt, text, 0, prompt);
            System.arraycopy(GOLDEN.values("greedy_ids"), b * tokens, text, prompt, tokens);
            double[] logits =
                    MODEL.logits(text, 1, text.length, (index, operands) -> run(target, DataType.F32, operands));
            int vocabulary = logits.length / text.length;
            for (int n = prompt; n < text.length; n++) {
                assertThat(largest(logits, (n - 1) * vocabulary, vocabulary))
                        .as("token %d of sequence %d on %s", n, b, target)
                        .isEqualTo((int) text[n]);
            }
        }
    }

    private static int largest(double[] values, int from, int count) {
        int best = 0;
        for (int n = 1; n < count; n++) {
            if (values[from + n] > values[from + best]) {
                best = n;
            }
        }
        return best;
    }
}
