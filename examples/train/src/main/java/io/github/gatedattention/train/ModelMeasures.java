package io.github.gatedattention.train;

import java.util.List;
import java.util.function.ToDoubleFunction;

/**
 * What the paper measures inside a model.
 *
 * @param layers one element per block
 */
record ModelMeasures(List<OfLayer> layers) {
    /**
     * One block.
     *
     * @param firstToken F-Attn: the attention on the first token, the mean over queries and heads
     * @param gate the mean of the gate; NaN without one
     * @param largest the largest magnitude in the residual stream after the block
     */
    record OfLayer(double firstToken, double gate, double largest) {}

    ModelMeasures {
        layers = List.copyOf(layers);
    }

    double firstToken() {
        return mean(OfLayer::firstToken);
    }

    double gate() {
        return mean(OfLayer::gate);
    }

    double largest() {
        return mean(OfLayer::largest);
    }

    private double mean(ToDoubleFunction<OfLayer> value) {
        return layers.stream().mapToDouble(value).average().orElse(Double.NaN);
    }
}
