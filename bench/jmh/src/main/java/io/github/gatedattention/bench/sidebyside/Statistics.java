package io.github.gatedattention.bench.sidebyside;

import java.util.Arrays;

/** Order statistics: they do not care how slow the slowest call was. */
final class Statistics {
    private Statistics() {}

    static double median(double[] values) {
        return percentile(values, 50);
    }

    /** The value that a share of the others is below, interpolated between the two nearest; NaN of none. */
    static double percentile(double[] values, double percent) {
        if (values.length == 0) {
            return Double.NaN;
        }
        double[] sorted = values.clone();
        Arrays.sort(sorted);
        double place = percent / 100 * (sorted.length - 1);
        int below = (int) Math.floor(place);
        int above = (int) Math.ceil(place);
        return sorted[below] + (sorted[above] - sorted[below]) * (place - below);
    }
}
