package io.github.gatedattention.train;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.util.HashMap;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.stream.IntStream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Every element of the gradient of the whole model, in float32, beside central differences of its loss in float64. */
class GradientTest {
    private static final double STEP = 1e-5;
    /** Of the norm of a tensor's gradient, for what float32 rounds on the way; 4e-6 is the most that was seen. */
    private static final double BOUND = 1e-5;

    private static final int BATCH = 2;

    @ParameterizedTest
    @EnumSource
    void isThatOfTheLoss(GateKind gate) {
        check(new ModelShape(gate, 11, 2, 8, 4, 2, 8, 16, 6, false));
    }

    @Test
    void isThatOfTheLossWhenEmbeddingAndHeadAreOne() {
        check(new ModelShape(GateKind.ELEMENTWISE, 11, 1, 16, 2, 1, 8, 24, 5, true));
    }

    private static void check(ModelShape shape) {
        try (LanguageModel model = new LanguageModel(shape, BATCH, 7)) {
            spread(model);
            Batch batch = batch(shape);
            Map<String, double[]> weights = weights(model);
            double expected = new Float64Model(shape, weights).loss(batch);
            assertThat(model.forward(batch)).isCloseTo(expected, within(1e-6));
            model.backward();
            for (Parameter parameter : model.parameters()) {
                double[] differences = IntStream.range(0, parameter.size())
                        .parallel()
                        .mapToDouble(i -> difference(shape, weights, parameter.name(), i, batch))
                        .toArray();
                assertThat(distance(parameter, differences))
                        .as("gradient of %s of %s", parameter.name(), shape)
                        .isLessThan(BOUND * norm(differences));
            }
        }
    }

    /** Nothing is to be hidden by a weight of 1 or 0, or by probabilities that are all alike. */
    private static void spread(LanguageModel model) {
        var random = new SplittableRandom(3);
        for (Parameter parameter : model.parameters()) {
            boolean vector = !parameter.decays();
            boolean embedding = parameter.name().equals("embed.weight");
            for (int i = 0; i < parameter.size(); i++) {
                double value = parameter.value().segment().getAtIndex(JAVA_FLOAT, i);
                double other = vector ? value + 0.4 * random.nextGaussian() : embedding ? 25 * value : 1.5 * value;
                parameter.value().segment().setAtIndex(JAVA_FLOAT, i, (float) other);
            }
        }
    }

    private static Batch batch(ModelShape shape) {
        var random = new SplittableRandom(5);
        int tokens = BATCH * shape.context();
        return new Batch(
                random.ints(tokens, 0, shape.vocabulary()).toArray(),
                random.ints(tokens, 0, shape.vocabulary()).toArray());
    }

    private static Map<String, double[]> weights(LanguageModel model) {
        Map<String, double[]> weights = new HashMap<>();
        for (Parameter parameter : model.parameters()) {
            weights.put(
                    parameter.name(),
                    IntStream.range(0, parameter.size())
                            .mapToDouble(i -> parameter.value().segment().getAtIndex(JAVA_FLOAT, i))
                            .toArray());
        }
        return weights;
    }

    private static double difference(
            ModelShape shape, Map<String, double[]> weights, String name, int element, Batch batch) {
        double[] changed = weights.get(name).clone();
        Map<String, double[]> own = new HashMap<>(weights);
        own.put(name, changed);
        Float64Model model = new Float64Model(shape, own);
        changed[element] += STEP;
        double above = model.loss(batch);
        changed[element] -= 2 * STEP;
        return (above - model.loss(batch)) / (2 * STEP);
    }

    private static double distance(Parameter parameter, double[] expected) {
        return Math.sqrt(IntStream.range(0, expected.length)
                .mapToDouble(i -> parameter.gradient().segment().getAtIndex(JAVA_FLOAT, i) - expected[i])
                .map(difference -> difference * difference)
                .sum());
    }

    private static double norm(double[] values) {
        return Math.sqrt(IntStream.range(0, values.length)
                .mapToDouble(i -> values[i] * values[i])
                .sum());
    }
}
