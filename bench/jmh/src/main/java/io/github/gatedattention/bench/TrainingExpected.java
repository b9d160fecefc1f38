package io.github.gatedattention.bench;

import io.github.gatedattention.baselines.Float64Gradients;
import io.github.gatedattention.baselines.Float64Reference;
import java.io.IOException;
import java.util.List;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;

/**
 * A gradient of a workload's result, the same for every implementation, and what follows from it in float64.
 *
 * @param dOut the gradient of the result, [B, Sq, Hq, D], standard normal, rounded to the precision
 * @param gradients of q, k, v and gate, each in the layout of its operand
 */
@SuppressWarnings("ArrayRecordComponent") // large, and never compared
public record TrainingExpected(float[] dOut, List<double[]> gradients) {
    private static final long SEED = 3;
    private static final List<String> NAMES = List.of("dq", "dk", "dv", "dgate");

    /**
     * {@return the gradients}
     *
     * @param inputs the operands
     */
    public static TrainingExpected of(Inputs inputs) throws IOException {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom").create(SEED);
        float[] dOut = new float[inputs.q().length];
        for (int n = 0; n < dOut.length; n++) {
            dOut[n] = inputs.precision().round((float) random.nextGaussian());
        }
        List<double[]> all = Expected.of(inputs, NAMES, () -> {
            Float64Gradients exact = Float64Gradients.of(
                    inputs.workload().shape(), inputs.q(), inputs.k(), inputs.v(), inputs.gate(), dOut);
            return List.of(exact.dQ(), exact.dK(), exact.dV(), ofScores(inputs, exact.dGate()));
        });
        return new TrainingExpected(dOut, all);
    }

    /** A score per head was repeated: its gradient is the sum. */
    private static double[] ofScores(Inputs inputs, double[] elements) {
        int dim = inputs.workload().shape().headDim();
        int repeats = dim / inputs.gateDim();
        double[] scores = new double[elements.length / repeats];
        for (int n = 0; n < elements.length; n++) {
            scores[n / repeats] += elements[n];
        }
        return scores;
    }

    /**
     * {@return the largest relative L2 error of any gradient}
     *
     * @param actual what was computed; without a gate, not that of its scores
     */
    public double worstError(List<float[]> actual) {
        double worst = 0;
        for (int n = 0; n < actual.size(); n++) {
            worst = Math.max(worst, Float64Reference.relativeError(gradients.get(n), actual.get(n)));
        }
        return worst;
    }
}
