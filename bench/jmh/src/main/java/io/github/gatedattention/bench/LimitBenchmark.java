package io.github.gatedattention.bench;

import io.github.gatedattention.bench.peers.Implementation;
import org.openjdk.jmh.annotations.Param;

/** This library alone, where its share of the machine's peak is what matters: long prefill, small heads, long decode. */
public class LimitBenchmark extends AttentionBenchmark {
    /** The shape. */
    @Param({"S4096", "S1024_D64", "DECODE_32768"})
    public Workload workload = Workload.S4096;

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
