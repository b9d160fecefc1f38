package io.github.gatedattention.bench;

import io.github.gatedattention.bench.peers.Implementation;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;

/** This library alone, one step over a short cache, where latency is what matters. */
@OutputTimeUnit(TimeUnit.MICROSECONDS)
public class DecodeLatencyBenchmark extends AttentionBenchmark {
    /** The shape. */
    @Param({"DECODE_512"})
    public Workload workload = Workload.DECODE_512;

    /** The type of the operands. */
    @Param
    public Precision type = Precision.F32;

    @Override
    Workload workload() {
        return workload;
    }

    @Override
    Implementation implementation() {
        return Implementation.library(type);
    }
}
