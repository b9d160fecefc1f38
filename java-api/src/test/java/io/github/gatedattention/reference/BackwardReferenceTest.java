package io.github.gatedattention.reference;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.gatedattention.Activation;
import io.github.gatedattention.Combination;
import io.github.gatedattention.DataType;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The gradients that the tests expect are the slopes of what they expect of the forward pass. */
class BackwardReferenceTest {
    private static final double STEP = 1e-5;
    private static final int BATCH = 2;
    private static final int QUERIES = 3;
    private static final int KEYS = 5;
    private static final int HEADS = 4;
    private static final int DIM = 8;
    private static final int DIM_V = 16;

    private final Random random = new Random(5);

    /** Each activation with each combination and each step on Y, per element and per head; then masks, softcap and sharing. */
    static Stream<Setting> settings() {
        List<Setting> settings = new ArrayList<>();
        Setting plain = Setting.causal(DIM);
        for (Setting.Pre pre : Setting.Pre.values()) {
            settings.add(plain.withPre(pre, 1e-3f));
            for (Activation activation : Activation.values()) {
                for (Combination combination : Combination.values()) {
                    Setting gated = plain.withPre(pre, 1e-3f).withGate(activation, combination);
                    settings.add(gated);
                    settings.add(gated.withHeadwiseGate(activation).withScores(0.7f, 1.5f));
                }
            }
        }
        settings.add(plain.withMask(false, 1, 0).withGate(Activation.SIGMOID, Combination.MULTIPLY));
        settings.add(plain.withMask(false, -1, -1).withScores(-0.3f, 0));
        return settings.stream();
    }

    @ParameterizedTest
    @MethodSource("settings")
    void gradientsAreSlopes(Setting setting) {
        boolean headwise = setting.headwise();
        for (int[] sharing : new int[][] {{BATCH, QUERIES, HEADS}, {1, QUERIES, 1}, {1, 1, HEADS}, {1, 1, 1}}) {
            DoubleTensor q = normal(BATCH, QUERIES, HEADS, DIM);
            DoubleTensor k = normal(BATCH, KEYS, 2, DIM);
            DoubleTensor v = normal(BATCH, KEYS, 2, DIM_V);
            DoubleTensor gate =
                    setting.gated() ? normal(sharing[0], sharing[1], sharing[2], headwise ? 1 : DIM_V) : null;
            DoubleTensor weight =
                    setting.pre() == Setting.Pre.RMS_NORM ? normal(1, 1, sharing[2], headwise ? 1 : DIM_V) : null;
            DoubleTensor sink = normal(1, 1, 1, sharing[2]);
            // Under a causal mask the first query of the second sequence sees no key.
            Reference.Builder call = Reference.of(setting, DataType.F32, q, k, v)
                    .gate(gate)
                    .normWeight(weight)
                    .sink(sink)
                    .keyLengths(new int[] {KEYS, QUERIES - 1});
            DoubleTensor dOut = normal(BATCH, QUERIES, HEADS, DIM_V);
            List<ExpectedGradient> gradients = call.gradients(dOut);
            List<DoubleTensor> inputs = Arrays.asList(q, k, v, gate, weight, sink);
            for (int n = 0; n < inputs.size(); n++) {
                if (inputs.get(n) != null) {
                    compare(Gradients.NAMES.get(n), call, inputs.get(n), gradients.get(n), dOut);
                }
            }
        }
    }

    private void compare(
            String name, Reference.Builder call, DoubleTensor input, ExpectedGradient gradient, DoubleTensor dOut) {
        for (int n = 0; n < 12; n++) {
            int at = random.nextInt(input.values().length);
            double slope = (moved(call, input, at, STEP, dOut) - moved(call, input, at, -STEP, dOut)) / (2 * STEP);
            assertThat(gradient.exact().values()[at])
                    .as("%s %d", name, at)
                    .isCloseTo(
                            slope,
                            within(2e-8 * Math.max(1, gradient.magnitude().values()[at])));
            assertThat(Math.abs(slope))
                    .as("%s %d", name, at)
                    .isLessThan(gradient.magnitude().values()[at] * 1.001 + 1e-7);
        }
    }

    /** {@code sum dO O} where one element of an input is moved. */
    private static double moved(Reference.Builder call, DoubleTensor input, int at, double step, DoubleTensor dOut) {
        double before = input.values()[at];
        input.values()[at] = before + step;
        double[] out = call.compute().out().values();
        input.values()[at] = before;
        double sum = 0;
        for (int n = 0; n < out.length; n++) {
            sum += out[n] * dOut.values()[n];
        }
        return sum;
    }

    private DoubleTensor normal(int... shape) {
        DoubleTensor tensor = DoubleTensor.zeros(shape);
        Arrays.setAll(tensor.values(), n -> random.nextGaussian());
        return tensor;
    }
}
