package io.github.gatedattention.reference;

import io.github.gatedattention.Activation;

/** The gate's functions a(G) in float64. */
public final class Activations {
    private Activations() {}

    /** a(g). */
    public static double apply(Activation activation, double g) {
        return switch (activation) {
            case SIGMOID -> sigmoid(g);
            case SILU -> silu(g);
            case IDENTITY -> g;
            case NS_SIGMOID -> 0.5 + 0.5 * sigmoid(g);
            case TWO_SIGMOID -> 2 * sigmoid(g);
            case SOFTPLUS -> Math.max(g, 0) + Math.log1p(Math.exp(-Math.abs(g)));
            case TANH -> Math.tanh(g);
        };
    }

    /** a'(g). */
    public static double slope(Activation activation, double g) {
        return switch (activation) {
            case SIGMOID -> sigmoidSlope(g);
            case SILU -> siluSlope(g);
            case IDENTITY -> 1;
            case NS_SIGMOID -> 0.5 * sigmoidSlope(g);
            case TWO_SIGMOID -> 2 * sigmoidSlope(g);
            case SOFTPLUS -> sigmoid(g);
            case TANH -> 1 / (Math.cosh(g) * Math.cosh(g));
        };
    }

    /** The sum of the absolute values of the terms of a'(g). */
    static double slopeMagnitude(Activation activation, double g) {
        return activation == Activation.SILU ? sigmoid(g) * (1 + Math.abs(g) * sigmoid(-g)) : slope(activation, g);
    }

    /** As {@code 1 - sigmoid} would not have it, exact where the gate is closed or open all the way. */
    private static double sigmoidSlope(double x) {
        double e = Math.exp(-Math.abs(x));
        return e / ((1 + e) * (1 + e));
    }

    /** The largest |a'|: how far an error of G can carry. */
    static double slope(Activation activation) {
        return switch (activation) {
            case SIGMOID -> 0.25;
            case NS_SIGMOID -> 0.125;
            case TWO_SIGMOID -> 0.5;
            case SILU -> 1.1;
            case IDENTITY, SOFTPLUS, TANH -> 1;
        };
    }

    static double sigmoid(double x) {
        return 1 / (1 + Math.exp(-x));
    }

    static double silu(double x) {
        // exp(-x) overflows below -709, where the product would be -inf * 0.
        return x < -700 ? 0 : x * sigmoid(x);
    }

    /** d silu / dx; its own derivative stays within [-0.5, 0.5]. */
    static double siluSlope(double x) {
        double s = sigmoid(x);
        return s * (1 + x * (1 - s));
    }
}
