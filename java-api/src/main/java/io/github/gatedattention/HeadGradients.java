package io.github.gatedattention;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Gradients of one projection, for {@link AttentionPrologue#backward}.
 *
 * @param dOut the gradient of out: of the shape and type of in
 * @param dIn receives the gradient of in: of its shape, of its type or F32; may be exactly dOut; null: not wanted
 * @param dGate receives the gradient of the gate's scores: of their shape, F32, BF16 or F16, summed up where they are shared; null: not
 *     wanted
 * @param dNormWeight receives the gradient of the norm's weight: of its shape, F32, BF16 or F16; null: not wanted
 */
public record HeadGradients(
        Tensor dOut,
        @Nullable Tensor dIn,
        @Nullable Tensor dGate,
        @Nullable Tensor dNormWeight) {

    /**
     * Checks that there is a gradient to begin with.
     *
     * @throws NullPointerException when dOut is null
     */
    public HeadGradients {
        Objects.requireNonNull(dOut, "dOut is null");
    }

    /**
     * The gradient of in alone.
     *
     * @param dOut the gradient of out
     * @param dIn receives that of in
     * @return the gradients
     */
    public static HeadGradients of(Tensor dOut, @Nullable Tensor dIn) {
        return new HeadGradients(dOut, dIn, null, null);
    }

    /**
     * These gradients with that of the gate.
     *
     * @param scores receives it, or null
     * @return the changed gradients
     */
    public HeadGradients withGate(@Nullable Tensor scores) {
        return new HeadGradients(dOut, dIn, scores, dNormWeight);
    }

    /**
     * These gradients with that of the norm's weight.
     *
     * @param weight receives it, or null
     * @return the changed gradients
     */
    public HeadGradients withNormWeight(@Nullable Tensor weight) {
        return new HeadGradients(dOut, dIn, dGate, weight);
    }
}
