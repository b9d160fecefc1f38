package io.github.gatedattention;

/** The function {@code a(g)} that turns a gate's score into its value. */
public enum Activation {
    /** {@code 1 / (1 + exp(-g))}: the paper's choice. */
    SIGMOID,
    /** {@code g * sigmoid(g)}. */
    SILU,
    /** {@code g}. */
    IDENTITY,
    /** {@code 0.5 + 0.5 * sigmoid(g)}: the paper's non-sparse sigmoid. */
    NS_SIGMOID,
    /** {@code 2 * sigmoid(g)}: 1 for a zero score. */
    TWO_SIGMOID,
    /** {@code log(1 + exp(g))}. */
    SOFTPLUS,
    /** {@code tanh(g)}. */
    TANH;

    /** {@code a(g)}, correctly rounded to within one unit in the last place. */
    float apply(float g) {
        return (float) value(g);
    }

    /** {@code a(g)}. */
    double value(double g) {
        return switch (this) {
            case SIGMOID -> sigmoid(g);
            case SILU -> silu(g);
            case IDENTITY -> g;
            case NS_SIGMOID -> 0.5 + 0.5 * sigmoid(g);
            case TWO_SIGMOID -> 2 * sigmoid(g);
            case SOFTPLUS -> Math.max(g, 0) + Math.log1p(Math.exp(-Math.abs(g)));
            case TANH -> Math.tanh(g);
        };
    }

    /** {@code a'(g)}, without the cancellation of {@code 1 - sigmoid(g)} where the gate is saturated. */
    double slope(double g) {
        return switch (this) {
            case SIGMOID -> sigmoidSlope(g);
            case SILU -> siluSlope(g);
            case IDENTITY -> 1;
            case NS_SIGMOID -> 0.5 * sigmoidSlope(g);
            case TWO_SIGMOID -> 2 * sigmoidSlope(g);
            case SOFTPLUS -> sigmoid(g);
            case TANH -> 4 * sigmoidSlope(2 * g);
        };
    }

    /** {@code a'(g)}. */
    double slope(float g) {
        double value = sigmoid(g);
        double rest = sigmoid(-g); // 1 - value would cancel
        return switch (this) {
            case SIGMOID -> value * rest;
            case SILU -> value * (1 + g * rest);
            case IDENTITY -> 1;
            case NS_SIGMOID -> 0.5 * value * rest;
            case TWO_SIGMOID -> 2 * value * rest;
            case SOFTPLUS -> value;
            case TANH -> 4 * sigmoid(2.0 * g) * sigmoid(-2.0 * g);
        };
    }

    static double sigmoid(double x) {
        return 1 / (1 + Math.exp(-x));
    }

    private static double sigmoidSlope(double x) {
        return sigmoid(x) * sigmoid(-x);
    }

    /** {@code x * sigmoid(x)}, with its limit 0 at negative infinity. */
    static double silu(double x) {
        return x == Double.NEGATIVE_INFINITY ? 0 : x * sigmoid(x);
    }

    /** The slope of {@link #silu}, with its limits at the infinities. */
    static double siluSlope(double x) {
        return Double.isInfinite(x) ? sigmoid(x) : sigmoid(x) * (1 + x * sigmoid(-x));
    }
}
