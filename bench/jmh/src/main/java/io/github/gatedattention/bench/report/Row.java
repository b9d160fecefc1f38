package io.github.gatedattention.bench.report;

import io.github.gatedattention.bench.ErrorProfiler;
import io.github.gatedattention.bench.Precision;
import io.github.gatedattention.bench.Workload;
import io.github.gatedattention.bench.peers.Implementation;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.RunResult;

/**
 * One implementation on one workload.
 *
 * @param workload the shape
 * @param implementation who computed
 * @param nanos the median time of a call
 * @param error the relative L2 error against float64
 */
record Row(Workload workload, Implementation implementation, double nanos, double error) {
    /** Whether the result is of an implementation on a workload. */
    static boolean fits(RunResult result) {
        return result.getParams().getParamsKeys().contains("workload") && !TrainingRow.fits(result);
    }

    static Row of(RunResult result) {
        BenchmarkParams params = result.getParams();
        Result<?> primary = result.getPrimaryResult();
        double median = primary.getStatistics().getPercentile(Report.MEDIAN);
        Result<?> error = result.getSecondaryResults().get(ErrorProfiler.METRIC);
        return new Row(
                Workload.valueOf(params.getParam("workload")),
                implementation(params),
                median * TimeUnit.NANOSECONDS.convert(1, params.getTimeUnit()),
                error == null ? Double.NaN : error.getScore());
    }

    /** Benchmarks of this library alone name the type, or the variant. */
    private static Implementation implementation(BenchmarkParams params) {
        if (params.getParamsKeys().contains("variant")) {
            return Implementation.valueOf(params.getParam("variant"));
        }
        return params.getParamsKeys().contains("type")
                ? Implementation.library(Precision.valueOf(params.getParam("type")))
                : Implementation.valueOf(params.getParam("implementation"));
    }

    double gigaflops() {
        return workload.flop() / nanos;
    }

    double gigabytes() {
        return implementation.bytes(workload) / nanos;
    }
}
