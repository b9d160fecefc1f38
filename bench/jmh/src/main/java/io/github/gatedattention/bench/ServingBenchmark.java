package io.github.gatedattention.bench;

import io.github.gatedattention.bench.peers.Implementation;
import org.openjdk.jmh.annotations.Param;

/** This library alone: decode and chunks of prompts on caches of each type, contiguous and paged. */
public class ServingBenchmark extends AttentionBenchmark {
    /** The shape. */
    @Param({"DECODE_4096", "DECODE_32768", "DECODE_4096_B8", "CHUNK_512"})
    public Workload workload = Workload.DECODE_4096;

    /** Which kind of cache. */
    @Param({"GATED_ATTENTION_BF16", "GATED_ATTENTION_F16", "PAGED_BF16", "INT8_BF16", "PAGED_INT8_BF16"})
    public Implementation variant = Implementation.GATED_ATTENTION_BF16;

    @Override
    Workload workload() {
        return workload;
    }

    @Override
    Implementation implementation() {
        return variant;
    }
}
