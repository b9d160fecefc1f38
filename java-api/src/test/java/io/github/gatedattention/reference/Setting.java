package io.github.gatedattention.reference;

import io.github.gatedattention.Activation;
import io.github.gatedattention.Combination;
import io.github.gatedattention.Gate;
import io.github.gatedattention.Mask;

/**
 * Everything about a call that is not a tensor or an extent.
 *
 * @param pre what happens to Y before the gate
 * @param normEps added to the mean square by {@link Pre#RMS_NORM}
 * @param gated whether there is a gate tensor
 * @param headwise whether the gate has one score per head
 * @param windowLeft keys before the diagonal that are seen; -1: all
 * @param windowRight keys after the diagonal that are seen; -1: all
 * @param scale of the scores
 * @param softcap of the scores; 0: none
 */
public record Setting(
        Pre pre,
        float normEps,
        boolean gated,
        boolean headwise,
        Activation activation,
        Combination combination,
        boolean roundBeforeGate,
        boolean causal,
        long windowLeft,
        long windowRight,
        float scale,
        float softcap) {

    /** What happens to Y before the gate. */
    public enum Pre {
        NONE,
        RMS_NORM,
        SILU
    }

    /** Causal attention scaled by 1/sqrt(headDim) without a gate. */
    public static Setting causal(int headDim) {
        return new Setting(
                Pre.NONE,
                1e-6f,
                false,
                false,
                Activation.SIGMOID,
                Combination.MULTIPLY,
                false,
                true,
                -1,
                -1,
                (float) (1 / Math.sqrt(headDim)),
                0);
    }

    /** This setting with a gate of one score per element. */
    public Setting withGate(Activation activation, Combination combination) {
        return new Setting(
                pre,
                normEps,
                true,
                false,
                activation,
                combination,
                roundBeforeGate,
                causal,
                windowLeft,
                windowRight,
                scale,
                softcap);
    }

    /** This setting with a gate of one score per head. */
    public Setting withHeadwiseGate(Activation activation) {
        return new Setting(
                pre,
                normEps,
                true,
                true,
                activation,
                combination,
                roundBeforeGate,
                causal,
                windowLeft,
                windowRight,
                scale,
                softcap);
    }

    /** This setting with a step before the gate. */
    public Setting withPre(Pre step, float eps) {
        return new Setting(
                step,
                eps,
                gated,
                headwise,
                activation,
                combination,
                roundBeforeGate,
                causal,
                windowLeft,
                windowRight,
                scale,
                softcap);
    }

    /** This setting with Y rounded before the gate. */
    public Setting withRoundBeforeGate() {
        return new Setting(
                pre,
                normEps,
                gated,
                headwise,
                activation,
                combination,
                true,
                causal,
                windowLeft,
                windowRight,
                scale,
                softcap);
    }

    /** This setting without rounding before the gate. */
    public Setting withoutRounding() {
        return new Setting(
                pre,
                normEps,
                gated,
                headwise,
                activation,
                combination,
                false,
                causal,
                windowLeft,
                windowRight,
                scale,
                softcap);
    }

    /** This setting with another mask. */
    public Setting withMask(boolean causal, long left, long right) {
        return new Setting(
                pre,
                normEps,
                gated,
                headwise,
                activation,
                combination,
                roundBeforeGate,
                causal,
                left,
                right,
                scale,
                softcap);
    }

    /** This setting with another scale and softcap. */
    public Setting withScores(float newScale, float cap) {
        return new Setting(
                pre,
                normEps,
                gated,
                headwise,
                activation,
                combination,
                roundBeforeGate,
                causal,
                windowLeft,
                windowRight,
                newScale,
                cap);
    }

    /** The library's description of the gate. */
    public Gate gate() {
        Gate gate = !gated ? Gate.none() : headwise ? Gate.headwise(activation) : Gate.elementwise(activation);
        if (gated) {
            gate = gate.withCombination(combination);
        }
        gate = gate.withRoundBeforeGate(roundBeforeGate);
        return switch (pre) {
            case NONE -> gate;
            case RMS_NORM -> gate.withRmsNorm(normEps);
            case SILU -> gate.withSilu();
        };
    }

    /** The library's description of the mask. */
    public Mask mask() {
        Mask mask = causal ? Mask.causal() : Mask.none();
        return windowLeft < 0 && windowRight < 0 ? mask : mask.withWindow(windowLeft, windowRight);
    }
}
