package io.github.gatedattention.bench.report;

import io.github.gatedattention.bench.NeighborBenchmark.Neighbor;
import io.github.gatedattention.bench.Workload;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.infra.BenchmarkParams;
import org.openjdk.jmh.results.RunResult;

/**
 * What a neighbor on one of the processors costs a workload.
 *
 * @param workload the shape
 * @param times of a call, for each of the neighbors that were measured
 */
record NeighborRow(Workload workload, Map<Neighbor, Times> times) {
    /**
     * Of a call, in nanoseconds.
     *
     * @param median half of the calls took less
     * @param mean which the calls that waited for the neighbor move
     */
    record Times(double median, double mean) {}

    static boolean fits(RunResult result) {
        return result.getParams().getParamsKeys().contains("neighbor");
    }

    /** One row per workload, in their order. */
    static List<NeighborRow> of(Collection<RunResult> results) {
        Map<Workload, Map<Neighbor, Times>> rows = new TreeMap<>();
        for (RunResult result : results) {
            BenchmarkParams params = result.getParams();
            double nanos = TimeUnit.NANOSECONDS.convert(1, params.getTimeUnit());
            rows.computeIfAbsent(Workload.valueOf(params.getParam("shape")), shape -> new TreeMap<>())
                    .put(
                            Neighbor.valueOf(params.getParam("neighbor")),
                            new Times(
                                    nanos
                                            * result.getPrimaryResult()
                                                    .getStatistics()
                                                    .getPercentile(Report.MEDIAN),
                                    nanos * result.getPrimaryResult().getScore()));
        }
        return rows.entrySet().stream()
                .map(e -> new NeighborRow(e.getKey(), e.getValue()))
                .toList();
    }
}
