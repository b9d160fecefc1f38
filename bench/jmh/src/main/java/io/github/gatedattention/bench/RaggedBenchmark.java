package io.github.gatedattention.bench;

import io.github.gatedattention.bench.peers.Implementation;
import org.openjdk.jmh.annotations.Param;

/** This library alone: sequences of their own lengths, packed, and padded to the longest. */
public class RaggedBenchmark extends AttentionBenchmark {
    /** The shape. */
    @Param({"RAGGED_512_B8"})
    public Workload workload = Workload.RAGGED_512_B8;

    /** Packed or padded. */
    @Param({"PACKED_BF16", "GATED_ATTENTION_BF16", "PACKED_F32", "GATED_ATTENTION_F32"})
    public Implementation variant = Implementation.PACKED_BF16;

    @Override
    Workload workload() {
        return workload;
    }

    @Override
    Implementation implementation() {
        return variant;
    }
}
