package io.github.gatedattention;

import java.util.Objects;

/**
 * What {@link GatedAttention#measure(Tensor, ValueProbe)} is to count of {@code a(values)}.
 *
 * @param activation the function a; {@link Activation#IDENTITY} for the values themselves
 * @param bins how many bins of equal width the histogram has, 0 to 4096; 0: no histogram
 * @param low where the first bin begins
 * @param high where the last one ends; values outside are in no bin
 */
public record ValueProbe(Activation activation, int bins, double low, double high) {
    private static final int MOST_BINS = 4096;
    private static final int GATE_BINS = 50;

    /**
     * Checks the histogram.
     *
     * @throws IllegalArgumentException when bins is out of range, or low is not below high, both finite
     */
    public ValueProbe {
        Objects.requireNonNull(activation, "activation is null");
        if (bins < 0 || bins > MOST_BINS) {
            throw new IllegalArgumentException("bins is " + bins + ", but must be 0 to " + MOST_BINS);
        }
        if (bins > 0 && !(low < high && Double.isFinite(high - low))) {
            throw new IllegalArgumentException(
                    "low is " + low + " and high is " + high + ", but both must be finite, low below high");
        }
    }

    /**
     * The values themselves, without a histogram: of outputs before and after a gate, of hidden activations.
     *
     * @return the probe
     */
    public static ValueProbe values() {
        return new ValueProbe(Activation.IDENTITY, 0, 0, 1);
    }

    /**
     * The values of a gate, from its scores, with a histogram of 50 bins over what the activation can give, or over -4 to 4 of
     * what it gives without limit.
     *
     * @param activation the gate's
     * @return the probe
     */
    public static ValueProbe gate(Activation activation) {
        return switch (activation) {
            case SIGMOID -> new ValueProbe(activation, GATE_BINS, 0, 1);
            case NS_SIGMOID -> new ValueProbe(activation, GATE_BINS, 0.5, 1);
            case TWO_SIGMOID -> new ValueProbe(activation, GATE_BINS, 0, 2);
            case TANH -> new ValueProbe(activation, GATE_BINS, -1, 1);
            case SOFTPLUS -> new ValueProbe(activation, GATE_BINS, 0, 4);
            case SILU -> new ValueProbe(activation, GATE_BINS, -0.3, 4);
            case IDENTITY -> new ValueProbe(activation, GATE_BINS, -4, 4);
        };
    }

    /**
     * This probe with another histogram.
     *
     * @param newBins how many bins, 1 to 4096
     * @param newLow where the first begins
     * @param newHigh where the last ends
     * @return the changed probe
     * @throws IllegalArgumentException when a number is out of range
     */
    public ValueProbe withHistogram(int newBins, double newLow, double newHigh) {
        return new ValueProbe(activation, newBins, newLow, newHigh);
    }
}
