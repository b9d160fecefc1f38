package io.github.gatedattention;

import java.util.ArrayList;
import java.util.List;

/**
 * What {@link GatedAttention#measure(Tensor, ValueProbe)} counted.
 *
 * @param heads one element per head
 * @param all of all heads together
 */
public record ValueStatistics(List<Summary> heads, Summary all) {
    /** Values below are counted as closed gates: the paper's limit. */
    static final double BELOW = 0.1;
    /** Values above are counted as open gates. */
    static final double ABOVE = 0.9;
    /** Values whose magnitude is below are counted as sparse. */
    static final double SMALL = 1e-2;
    /** A stricter limit. */
    static final double SMALLER = 1e-3;

    /**
     * Statistics of some values. Where one is NaN, or there is none, all that is no share or count is NaN.
     *
     * @param count how many there are
     * @param nans how many are NaN
     * @param mean their mean
     * @param standardDeviation the square root of the mean squared distance from it
     * @param min the least
     * @param max the greatest
     * @param largest the greatest magnitude: M-Act of the paper, of hidden activations
     * @param shareBelow the share of values below 0.1
     * @param shareAbove the share of values above 0.9
     * @param shareSmall the share of values of a magnitude below 1e-2: sparsity
     * @param shareSmaller the share of values of a magnitude below 1e-3
     * @param histogram how many are in each of the probe's bins
     */
    public record Summary(
            long count,
            long nans,
            double mean,
            double standardDeviation,
            double min,
            double max,
            double largest,
            double shareBelow,
            double shareAbove,
            double shareSmall,
            double shareSmaller,
            List<Long> histogram) {
        /** Copies the list. */
        public Summary {
            histogram = List.copyOf(histogram);
        }
    }

    /** Copies the list. */
    public ValueStatistics {
        heads = List.copyOf(heads);
    }

    /** Joins the heads. */
    static ValueStatistics of(List<ValueTally> tallies) {
        List<Summary> heads = new ArrayList<>();
        ValueTally all = new ValueTally(tallies.isEmpty() ? 0 : tallies.getFirst().bins.length);
        for (ValueTally tally : tallies) {
            heads.add(tally.summary());
            all.add(tally);
        }
        return new ValueStatistics(heads, all.summary());
    }
}
