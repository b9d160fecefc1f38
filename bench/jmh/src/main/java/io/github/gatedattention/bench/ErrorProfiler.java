package io.github.gatedattention.bench;

import java.util.Collection;
import java.util.List;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.infra.IterationParams;
import org.openjdk.jmh.profile.InternalProfiler;
import org.openjdk.jmh.results.AggregationPolicy;
import org.openjdk.jmh.results.IterationResult;
import org.openjdk.jmh.results.Result;
import org.openjdk.jmh.results.ScalarResult;

/** Puts each benchmark's error against float64 beside its time, as a secondary metric of JMH's own result file. */
public final class ErrorProfiler implements InternalProfiler {
    /** The name of the metric. */
    public static final String METRIC = "relative_error";

    private static volatile double error = Double.NaN;

    /** Says what this JVM's benchmark computes wrong: the relative L2 error of its whole output. */
    static void record(double relativeError) {
        error = relativeError;
    }

    @Override
    public String getDescription() {
        return "Relative L2 error of the output against float64";
    }

    @Override
    public void beforeIteration(BenchmarkParams benchmark, IterationParams iteration) {}

    @Override
    public Collection<? extends Result<?>> afterIteration(
            BenchmarkParams benchmark, IterationParams iteration, IterationResult result) {
        return Double.isNaN(error) ? List.of() : List.of(new ScalarResult(METRIC, error, "L2", AggregationPolicy.MAX));
    }
}
