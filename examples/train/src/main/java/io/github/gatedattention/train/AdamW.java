package io.github.gatedattention.train;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import java.lang.foreign.MemorySegment;
import java.util.List;

/**
 * Adam with decoupled weight decay, after clipping the norm of all gradients together.
 *
 * @param weightDecay what a matrix loses per step, times the learning rate
 * @param clip the largest norm that the gradient may have; longer ones are shortened to it
 */
record AdamW(double weightDecay, double clip) {
    private static final double BETA1 = 0.9;
    private static final double BETA2 = 0.95;
    private static final double EPS = 1e-8;
    private static final int CHUNK = 1 << 14;

    /** The norm of all gradients together. */
    double norm(List<Parameter> parameters) {
        return Math.sqrt(parameters.stream().mapToDouble(AdamW::squares).sum());
    }

    /**
     * Changes the parameters.
     *
     * @param step 1, 2, 3 and so on
     * @param norm of all gradients together
     */
    void update(List<Parameter> parameters, int step, double learningRate, double norm) {
        float shorten = norm > clip ? (float) (clip / norm) : 1;
        float correct1 = (float) (1 / (1 - Math.pow(BETA1, step)));
        float correct2 = (float) (1 / (1 - Math.pow(BETA2, step)));
        for (Parameter parameter : parameters) {
            float keep = (float) (1 - (parameter.decays() ? learningRate * weightDecay : 0));
            update(parameter, (float) learningRate, keep, shorten, correct1, correct2);
        }
    }

    /** In the order of the elements, so that the sum has the same bits every time. */
    private static double squares(Parameter parameter) {
        MemorySegment gradient = parameter.gradient().segment();
        double[] partial = new double[Parallel.blocks(parameter.size(), CHUNK)];
        Parallel.run(parameter.size(), CHUNK, (block, from, to) -> {
            double sum = 0;
            for (int i = from; i < to; i++) {
                double g = gradient.getAtIndex(JAVA_FLOAT, i);
                sum += g * g;
            }
            partial[block] = sum;
        });
        double sum = 0;
        for (double block : partial) {
            sum += block;
        }
        return sum;
    }

    private static void update(
            Parameter parameter, float learningRate, float keep, float shorten, float correct1, float correct2) {
        MemorySegment value = parameter.value().segment();
        MemorySegment gradient = parameter.gradient().segment();
        MemorySegment first = parameter.first().segment();
        MemorySegment second = parameter.second().segment();
        Parallel.run(parameter.size(), CHUNK, (block, from, to) -> {
            for (int i = from; i < to; i++) {
                float g = gradient.getAtIndex(JAVA_FLOAT, i) * shorten;
                float m = (float) BETA1 * first.getAtIndex(JAVA_FLOAT, i) + (float) (1 - BETA1) * g;
                float v = (float) BETA2 * second.getAtIndex(JAVA_FLOAT, i) + (float) (1 - BETA2) * g * g;
                first.setAtIndex(JAVA_FLOAT, i, m);
                second.setAtIndex(JAVA_FLOAT, i, v);
                float move = learningRate * (m * correct1) / ((float) Math.sqrt(v * correct2) + (float) EPS);
                value.setAtIndex(JAVA_FLOAT, i, value.getAtIndex(JAVA_FLOAT, i) * keep - move);
            }
        });
    }
}
