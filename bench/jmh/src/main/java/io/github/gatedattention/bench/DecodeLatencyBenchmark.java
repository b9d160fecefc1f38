package io.github.gatedattention.bench;

import io.github.gatedattention.bench.peers.Implementation;
import org.openjdk.jmh.annotations.Param;

/** This library alone, one step over a short cache, where latency is what matters. */
public class DecodeLatencyBenchmark extends AttentionBenchmark {
    /** The shape. */
    @Param({"DECODE_512"})
    public Workload workload = Workload.DECODE_512;

    /** Who computes. */
    @Param({"GATED_ATTENTION_BF16", "GATED_ATTENTION_F32"})
    public Implementation implementation = Implementation.GATED_ATTENTION_F32;

    @Override
    Workload workload() {
        return workload;
    }

    @Override
    Implementation implementation() {
        return implementation;
    }
}
