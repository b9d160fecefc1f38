package io.github.gatedattention.bench;

import io.github.gatedattention.bench.peers.Implementation;
import org.openjdk.jmh.annotations.Param;

/** Gated attention, forward, by this library and by everything else that a Java program could call. */
public class ForwardBenchmark extends AttentionBenchmark {
    /** The shape. */
    @Param({"S128", "S512", "S1024", "S2048", "S1024_D256", "DECODE_4096"})
    public Workload workload = Workload.S128;

    /** Who computes; the launcher leaves out what cannot be loaded. */
    @Param
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
