package io.github.gatedattention.reference;

import io.github.gatedattention.DataType;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * What a backward call must give for one of the inputs, and how far off it may be.
 *
 * <p>An element may be off by the larger of two shares of its magnitude: the share that rounding may cost at most, as the bounds of
 * the forward pass have it, and three times the largest share in its tensor that the same formulas are off by when f32 and the call's
 * type evaluate them once.
 *
 * @param exact the gradient in float64
 * @param bound the largest |error| of each element, but for the rounding of the result
 * @param magnitude the sum of the absolute values of each element's terms
 * @param single the gradient by one evaluation in f32 and the call's type
 */
public record ExpectedGradient(DoubleTensor exact, DoubleTensor bound, DoubleTensor magnitude, DoubleTensor single) {
    /** Below the normal range f32 intermediates may be flushed to 0. */
    private static final double FLUSHED = 1e-33;

    /** The bound of an element that is rounded to {@code type}. */
    public DoubleTensor boundOf(DataType type) {
        DoubleTensor rounded = DoubleTensor.zeros(exact.shape());
        for (int n = 0; n < exact.values().length; n++) {
            rounded.values()[n] = bound.values()[n]
                    + 2 * Floats.epsilon(type) * (Math.abs(exact.values()[n]) + bound.values()[n])
                    + Floats.subnormal(type);
        }
        return rounded;
    }

    /** In the order of {@link Gradients#NAMES}; null for inputs that there are not. */
    static List<@Nullable ExpectedGradient> of(BackwardReference exact, BackwardReference single) {
        List<@Nullable ExpectedGradient> gradients = new ArrayList<>();
        for (int n = 0; n < Gradients.NAMES.size(); n++) {
            DoubleTensor gradient = exact.gradients().all().get(n);
            gradients.add(
                    gradient == null
                            ? null
                            : of(
                                    gradient,
                                    exact.bounds().all().get(n),
                                    exact.magnitudes().all().get(n),
                                    single.gradients().all().get(n)));
        }
        return gradients;
    }

    private static ExpectedGradient of(
            DoubleTensor exact, DoubleTensor share, DoubleTensor magnitude, DoubleTensor single) {
        double worst = 0;
        for (int n = 0; n < exact.values().length; n++) {
            double error = Math.abs(single.values()[n] - exact.values()[n]);
            if (magnitude.values()[n] > FLUSHED && Double.isFinite(error)) {
                worst = Math.max(worst, error / magnitude.values()[n]);
            }
        }
        DoubleTensor bound = DoubleTensor.zeros(exact.shape());
        for (int n = 0; n < exact.values().length; n++) {
            bound.values()[n] =
                    Math.max(share.values()[n], 3 * worst * magnitude.values()[n]) + FLUSHED;
        }
        return new ExpectedGradient(exact, bound, magnitude, single);
    }
}
