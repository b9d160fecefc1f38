package io.github.gatedattention.baselines;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.List;
import java.util.Random;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class Float64GradientsTest {
    private final Random random = new Random(3);

    /** Against half the differences of the result where an input is moved by 2^-10, which floats hold exactly. */
    @ParameterizedTest
    @EnumSource
    void gradientsAreSlopes(Layout layout) {
        var shape = new AttentionShape(2, 4, 2, 3, 5, 8, true, layout);
        float[] q = normal(shape.queryElements());
        float[] k = normal(shape.keyElements());
        float[] v = normal(shape.keyElements());
        float[] gate = normal(shape.queryElements());
        float[] dOut = normal(shape.queryElements());
        Float64Gradients gradients = Float64Gradients.of(shape, q, k, v, gate, dOut);
        List<float[]> inputs = List.of(q, k, v, gate);
        List<double[]> all = List.of(gradients.dQ(), gradients.dK(), gradients.dV(), gradients.dGate());
        for (int n = 0; n < inputs.size(); n++) {
            for (int at = 0; at < inputs.get(n).length; at += 7) {
                float before = inputs.get(n)[at];
                inputs.get(n)[at] = before + 0x1p-10f;
                double more = sum(Float64Reference.forward(shape, q, k, v, gate), dOut) / (2 * 0x1p-10);
                inputs.get(n)[at] = before - 0x1p-10f;
                double less = sum(Float64Reference.forward(shape, q, k, v, gate), dOut) / (2 * 0x1p-10);
                inputs.get(n)[at] = before;
                assertThat(all.get(n)[at]).as("input %d, element %d", n, at).isCloseTo(more - less, within(1e-4));
            }
        }
    }

    private static double sum(double[] out, float[] dOut) {
        double sum = 0;
        for (int n = 0; n < out.length; n++) {
            sum += out[n] * dOut[n];
        }
        return sum;
    }

    private float[] normal(int count) {
        float[] values = new float[count];
        for (int n = 0; n < count; n++) {
            values[n] = Math.round(random.nextGaussian() * 1024) / 1024f;
        }
        return values;
    }
}
