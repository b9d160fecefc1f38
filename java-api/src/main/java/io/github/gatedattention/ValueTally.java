package io.github.gatedattention;

import java.util.Arrays;

/** What has been counted of some values; tallies of parts are joined in order. */
final class ValueTally {
    long count;
    long nans;
    long below;
    long above;
    long small;
    long smaller;
    double mean;
    /** The sum of squared distances from the mean. */
    double squares;

    double min = Double.POSITIVE_INFINITY;
    double max = Double.NEGATIVE_INFINITY;
    double largest;
    final long[] bins;

    ValueTally(int bins) {
        this.bins = new long[bins];
    }

    /** Counts {@code n} values. */
    void add(ValueProbe probe, float[] x, int n) {
        ValueTally run = new ValueTally(0);
        double sum = 0;
        for (int i = 0; i < n; i++) {
            double value = x[i];
            double size = Math.abs(value);
            sum += value;
            run.nans += Double.isNaN(value) ? 1 : 0;
            run.below += value < ValueStatistics.BELOW ? 1 : 0;
            run.above += value > ValueStatistics.ABOVE ? 1 : 0;
            run.small += size < ValueStatistics.SMALL ? 1 : 0;
            run.smaller += size < ValueStatistics.SMALLER ? 1 : 0;
            run.min = Math.min(run.min, value);
            run.max = Math.max(run.max, value);
            run.largest = Math.max(run.largest, size);
            if (bins.length > 0 && value >= probe.low() && value <= probe.high()) {
                int bin = (int) ((value - probe.low()) * (bins.length / (probe.high() - probe.low())));
                bins[Math.min(bin, bins.length - 1)]++;
            }
        }
        run.count = n;
        run.mean = sum / n;
        for (int i = 0; i < n; i++) {
            run.squares += (x[i] - run.mean) * (x[i] - run.mean);
        }
        join(run);
    }

    /** Joins what was counted after this. */
    void add(ValueTally other) {
        for (int n = 0; n < bins.length; n++) {
            bins[n] += other.bins[n];
        }
        join(other);
    }

    private void join(ValueTally b) {
        if (b.count == 0) {
            return;
        }
        double share = (double) b.count / (count + b.count);
        double distance = b.mean - mean;
        squares += b.squares + distance * distance * share * count;
        mean += distance * share;
        min = Math.min(min, b.min);
        max = Math.max(max, b.max);
        largest = Math.max(largest, b.largest);
        count += b.count;
        nans += b.nans;
        below += b.below;
        above += b.above;
        small += b.small;
        smaller += b.smaller;
    }

    ValueStatistics.Summary summary() {
        boolean numbers = count > 0 && nans == 0;
        return new ValueStatistics.Summary(
                count,
                nans,
                numbers ? mean : Double.NaN,
                numbers ? Math.sqrt(squares / count) : Double.NaN,
                numbers ? min : Double.NaN,
                numbers ? max : Double.NaN,
                numbers ? largest : Double.NaN,
                (double) below / count,
                (double) above / count,
                (double) small / count,
                (double) smaller / count,
                Arrays.stream(bins).boxed().toList());
    }
}
