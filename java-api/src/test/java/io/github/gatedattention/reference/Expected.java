package io.github.gatedattention.reference;

/**
 * What a call must give, per element, and how far off it may be.
 *
 * @param out {@code [B, Sq, Hq, Dv]}
 * @param outBound largest |error| of each element of {@code out}
 * @param attention Y, the output before the pre step and the gate, {@code [B, Sq, Hq, Dv]}
 * @param lse {@code [B, Hq, Sq]} as {@code [1, B, Hq, Sq]}
 * @param lseBound largest |error| of each element of {@code lse}
 */
public record Expected(
        DoubleTensor out, DoubleTensor outBound, DoubleTensor attention, DoubleTensor lse, DoubleTensor lseBound) {}
