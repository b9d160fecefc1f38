package io.github.gatedattention.random;

import io.github.gatedattention.DataType;
import io.github.gatedattention.reference.Agreement;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.ExpectedGradient;
import io.github.gatedattention.reference.Floats;
import io.github.gatedattention.reference.Gradients;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/**
 * How well many gradients agree: each element within its bound, and all together beside one evaluation of the same formulas in f32
 * and the call's type, rounded alike, by the root mean square of the errors as shares of the elements' magnitudes.
 */
final class GradientAgreement {
    /** Below this magnitude the steps of f16 say more than the arithmetic does. */
    private static final double LEAST = 1e-2;

    private final Agreement[] elements = new Agreement[Gradients.NAMES.size()];
    private final double[] squares = new double[elements.length];
    private final double[] singleSquares = new double[elements.length];

    GradientAgreement() {
        for (int n = 0; n < elements.length; n++) {
            elements[n] = new Agreement();
        }
    }

    /** Adds gradient n; says what is wrong, or null. */
    @Nullable
    String add(int n, DoubleTensor actual, ExpectedGradient expected, DataType type) {
        double[] exact = expected.exact().values();
        for (int at = 0; at < exact.length; at++) {
            double magnitude = expected.magnitude().values()[at];
            double single = (Floats.round(type, expected.single().values()[at]) - exact[at]) / magnitude;
            double own = (actual.values()[at] - exact[at]) / magnitude;
            if (magnitude > LEAST && Double.isFinite(single) && Double.isFinite(own)) {
                squares[n] += own * own;
                singleSquares[n] += single * single;
            }
        }
        return elements[n].add(actual, expected.exact(), expected.boundOf(type));
    }

    /** How many elements of gradient n were compared. */
    long elements(int n) {
        return elements[n].elements();
    }

    /** The errors of gradient n beside those of one evaluation in f32 and the call's type; NaN when none was compared. */
    double besideSingle(int n) {
        return Math.sqrt(squares[n] / singleSquares[n]);
    }

    @Override
    public String toString() {
        StringBuilder text = new StringBuilder();
        for (int n = 0; n < elements.length; n++) {
            text.append(String.format(
                    Locale.ROOT,
                    " %s %.3f (rms %.2f x f32's, bias %+.4f)",
                    Gradients.NAMES.get(n),
                    elements[n].worst(),
                    besideSingle(n),
                    elements[n].bias()));
        }
        return text.toString();
    }
}
