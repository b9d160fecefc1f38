package io.github.gatedattention;

import java.util.Locale;
import java.util.Objects;

/**
 * What happens to the attention output {@code Y} before it is written: an optional step on {@code Y} itself, then an
 * optional gate {@code G} at the output (the paper's position G1).
 *
 * <p>The default of the paper, {@code O = Y * sigmoid(G)} with a score per element, is {@code
 * Gate.elementwise(Activation.SIGMOID)}. Instances are immutable.
 *
 * @see <a href="https://arxiv.org/abs/2505.06708">Gated Attention for Large Language Models, arXiv 2505.06708</a>
 */
public final class Gate {
    /** How many scores the gate tensor holds per query and head. */
    enum Granularity {
        NONE,
        ELEMENTWISE,
        HEADWISE
    }

    /** What is done to {@code Y} before the gate. */
    enum Step {
        NONE,
        RMS_NORM,
        SILU
    }

    private static final Gate OFF =
            new Gate(Granularity.NONE, Activation.IDENTITY, Combination.MULTIPLY, Step.NONE, 0, false);

    private final Granularity granularity;
    private final Activation activation;
    private final Combination combination;
    private final Step step;
    private final float normEps;
    private final boolean roundBeforeGate;

    private Gate(
            Granularity granularity,
            Activation activation,
            Combination combination,
            Step step,
            float normEps,
            boolean roundBeforeGate) {
        this.granularity = granularity;
        this.activation = Objects.requireNonNull(activation, "activation");
        this.combination = Objects.requireNonNull(combination, "combination");
        this.step = step;
        this.normEps = normEps;
        this.roundBeforeGate = roundBeforeGate;
    }

    /**
     * No gate: {@code O = Y}, plain attention. Calls take no gate tensor.
     *
     * @return the absent gate
     */
    public static Gate none() {
        return OFF;
    }

    /**
     * A score per element: the gate tensor is {@code [B, Sq, Hq, Dv]}, where each axis but the last may be 1 (the gate
     * is then shared along it).
     *
     * @param activation the function on the scores
     * @return a multiplying gate
     */
    public static Gate elementwise(Activation activation) {
        return new Gate(Granularity.ELEMENTWISE, activation, Combination.MULTIPLY, Step.NONE, 0, false);
    }

    /**
     * A score per head: the gate tensor is {@code [B, Sq, Hq, 1]}, where every other axis may be 1 as well.
     *
     * @param activation the function on the scores
     * @return a multiplying gate
     */
    public static Gate headwise(Activation activation) {
        return new Gate(Granularity.HEADWISE, activation, Combination.MULTIPLY, Step.NONE, 0, false);
    }

    /**
     * This gate, combined with {@code Y} in another way.
     *
     * @param newCombination how
     * @return the changed gate
     * @throws IllegalArgumentException when this is {@link #none()}
     */
    public Gate withCombination(Combination newCombination) {
        if (!isPresent()) {
            throw new IllegalArgumentException("combination is " + newCombination
                    + ", but there is no gate to combine with; start from Gate.elementwise or Gate.headwise");
        }
        return new Gate(granularity, activation, newCombination, step, normEps, roundBeforeGate);
    }

    /**
     * This gate after RMSNorm of {@code Y}, per head: {@code Y / sqrt(mean(Y^2) + eps)}, times the call's norm weight
     * when it has one. Replaces another step on {@code Y}.
     *
     * @param eps added to the mean square, finite, at least 0
     * @return the changed gate
     * @throws IllegalArgumentException when eps is negative, infinite or NaN
     */
    public Gate withRmsNorm(float eps) {
        if (!(eps >= 0) || eps == Float.POSITIVE_INFINITY) {
            throw new IllegalArgumentException("norm eps is " + eps + ", but must be finite and at least 0");
        }
        return new Gate(granularity, activation, combination, Step.RMS_NORM, eps, roundBeforeGate);
    }

    /**
     * This gate after {@code Y * sigmoid(Y)}. Replaces another step on {@code Y}.
     *
     * @return the changed gate
     */
    public Gate withSilu() {
        return new Gate(granularity, activation, combination, Step.SILU, 0, roundBeforeGate);
    }

    /**
     * This gate with or without rounding of {@code Y}, after the step on it, to the output's type before it meets the
     * gate, which reproduces the results of code that writes {@code Y} to memory first. The default is not to round.
     *
     * @param round whether to round
     * @return the changed gate
     */
    public Gate withRoundBeforeGate(boolean round) {
        return new Gate(granularity, activation, combination, step, normEps, round);
    }

    /**
     * Returns whether calls take a gate tensor.
     *
     * @return false for {@link #none()}, with or without a step on {@code Y}
     */
    public boolean isPresent() {
        return granularity != Granularity.NONE;
    }

    /**
     * Returns whether the gate has one score per head.
     *
     * @return true for {@link #headwise}
     */
    public boolean isHeadwise() {
        return granularity == Granularity.HEADWISE;
    }

    /**
     * Returns the function on the scores.
     *
     * @return the activation; identity when there is no gate
     */
    public Activation activation() {
        return activation;
    }

    /**
     * Returns how the gate meets {@code Y}.
     *
     * @return the combination; multiply when there is no gate
     */
    public Combination combination() {
        return combination;
    }

    /**
     * Returns whether {@code Y} is rounded to the output's type first.
     *
     * @return what {@link #withRoundBeforeGate} set
     */
    public boolean roundBeforeGate() {
        return roundBeforeGate;
    }

    Step step() {
        return step;
    }

    boolean hasRmsNorm() {
        return step == Step.RMS_NORM;
    }

    float normEps() {
        return normEps;
    }

    @Override
    public String toString() {
        StringBuilder text = new StringBuilder(lowerCase(granularity));
        if (isPresent()) {
            text.append(' ').append(lowerCase(activation)).append(' ').append(lowerCase(combination));
        }
        switch (step) {
            case NONE -> {}
            case RMS_NORM -> text.append(", after RMSNorm(").append(normEps).append(')');
            case SILU -> text.append(", after SiLU");
        }
        return roundBeforeGate ? text.append(", rounded before").toString() : text.toString();
    }

    private static String lowerCase(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT);
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Gate g
                && g.granularity == granularity
                && g.activation == activation
                && g.combination == combination
                && g.step == step
                && g.normEps == normEps
                && g.roundBeforeGate == roundBeforeGate;
    }

    @Override
    public int hashCode() {
        return Objects.hash(granularity, activation, combination, step, normEps, roundBeforeGate);
    }
}
