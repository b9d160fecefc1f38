package io.github.gatedattention.bench.report;

import io.github.gatedattention.bench.ErrorProfiler;
import io.github.gatedattention.bench.Workload;
import io.github.gatedattention.bench.peers.Trainer;
import java.util.Comparator;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.RunResult;

/**
 * One implementation on one workload, forward and backward.
 *
 * @param workload the shape
 * @param trainer who computed
 * @param nanos the median time of a step
 * @param error the largest relative L2 error of a gradient against float64
 */
record TrainingRow(Workload workload, Trainer.Kind trainer, double nanos, double error)
        implements Comparable<TrainingRow> {
    private static final Comparator<TrainingRow> ORDER =
            Comparator.comparing(TrainingRow::workload).thenComparing(TrainingRow::trainer);

    /** Whether the result is of a step. */
    static boolean fits(RunResult result) {
        return result.getParams().getParamsKeys().contains("trainer");
    }

    static TrainingRow of(RunResult result) {
        BenchmarkParams params = result.getParams();
        Result<?> primary = result.getPrimaryResult();
        double median = primary.getStatistics().getPercentile(Report.MEDIAN);
        Result<?> error = result.getSecondaryResults().get(ErrorProfiler.METRIC);
        return new TrainingRow(
                Workload.valueOf(params.getParam("workload")),
                Trainer.Kind.valueOf(params.getParam("trainer")),
                median * TimeUnit.NANOSECONDS.convert(1, params.getTimeUnit()),
                error == null ? Double.NaN : error.getScore());
    }

    double gigaflops() {
        return workload.flop() / nanos;
    }

    @Override
    public int compareTo(TrainingRow other) {
        return ORDER.compare(this, other);
    }
}
