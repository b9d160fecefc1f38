package io.github.gatedattention.reference;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** Compares results with what is expected, and remembers the worst element and the mean signed error. */
public final class Agreement {
    private double worst;
    private double signed;
    private double allowed;
    private long elements;

    /**
     * Adds a result.
     *
     * @return what is wrong with the worst element outside its bound; null when all are inside
     */
    public @Nullable String add(DoubleTensor actual, DoubleTensor expected, DoubleTensor bound) {
        if (!Arrays.equals(actual.shape(), expected.shape())) {
            return "shape " + Arrays.toString(actual.shape()) + ", expected " + Arrays.toString(expected.shape());
        }
        double largest = 0;
        int at = -1;
        for (int n = 0; n < expected.values().length; n++) {
            double e = expected.values()[n];
            double a = actual.values()[n];
            double ratio;
            if (Double.isNaN(e) || Double.isInfinite(e)) {
                ratio = Double.compare(a, e) == 0 ? 0 : Double.POSITIVE_INFINITY;
            } else {
                double limit = bound.values()[n];
                double error = a - e;
                ratio = error == 0 ? 0 : Double.isNaN(error) ? Double.POSITIVE_INFINITY : Math.abs(error) / limit;
                signed += error;
                allowed += limit;
                elements++;
            }
            if (ratio > largest) {
                largest = ratio;
                at = n;
            }
        }
        worst = Math.max(worst, largest);
        return largest <= 1
                ? null
                : "element " + indices(at, expected.shape()) + " of " + Arrays.toString(expected.shape()) + " is "
                        + actual.values()[at] + ", expected " + expected.values()[at] + " within " + bound.values()[at]
                        + " ("
                        + largest + " times the bound)";
    }

    /** The largest share of a bound that an error took. */
    public double worst() {
        return worst;
    }

    /** Mean signed error as a share of the mean bound. */
    public double bias() {
        return elements == 0 ? 0 : signed / allowed;
    }

    /** How many finite elements were compared. */
    public long elements() {
        return elements;
    }

    private static String indices(int n, int[] shape) {
        int[] index = new int[shape.length];
        for (int axis = shape.length - 1; axis >= 0; axis--) {
            index[axis] = n % shape[axis];
            n /= shape[axis];
        }
        return Arrays.toString(index);
    }
}
