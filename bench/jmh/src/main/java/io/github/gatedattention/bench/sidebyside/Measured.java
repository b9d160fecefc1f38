package io.github.gatedattention.bench.sidebyside;

import io.github.gatedattention.bench.Workload;
import java.util.List;
import java.util.stream.IntStream;

/**
 * A row of the report: what was measured, or why nothing was.
 *
 * @param section which question it answers
 * @param entry what it is about
 * @param absence why it was not measured; empty when it was
 * @param error the relative L2 error of the whole output against float64
 * @param calls how many calls were timed
 * @param rounds the median time of a call in each round, in nanoseconds
 * @param peak what bounds it
 */
record Measured(
        Section section, Entry entry, String absence, double error, long calls, List<Double> rounds, Peak peak) {
    private static final double LOW = 10;
    private static final double HIGH = 90;

    static Measured absent(Section section, Entry entry, String reason) {
        return new Measured(section, entry, reason, Double.NaN, 0, List.of(), Peak.NONE);
    }

    boolean isPresent() {
        return absence.isEmpty();
    }

    /** The median over the rounds, in nanoseconds. */
    double nanos() {
        return Statistics.median(values());
    }

    /** The 10th percentile over the rounds. */
    double lowNanos() {
        return Statistics.percentile(values(), LOW);
    }

    /** The 90th percentile over the rounds. */
    double highNanos() {
        return Statistics.percentile(values(), HIGH);
    }

    private double[] values() {
        return rounds.stream().mapToDouble(Double::doubleValue).toArray();
    }

    /** GFLOP/s, for decode GB/s. */
    double rate() {
        return work() / nanos();
    }

    /** FLOP, for decode bytes. */
    private double work() {
        Workload workload = entry.workload();
        return workload.isDecode() ? entry.implementation().bytes(workload) : workload.flop();
    }

    /**
     * The rate as a share of the peak, the median over the rounds: a machine that is faster in some of them has both then. NaN when
     * the peak is unknown.
     */
    double share() {
        int known = Math.min(rounds.size(), peak.rounds().size());
        return Statistics.median(IntStream.range(0, known)
                .filter(round -> peak.rounds().get(round) > 0)
                .mapToDouble(round -> work() / rounds.get(round) / peak.rounds().get(round))
                .toArray());
    }
}
