package io.github.gatedattention.bench;

import io.github.gatedattention.baselines.AttentionShape;
import io.github.gatedattention.baselines.Layout;

/** The shapes that are timed: causal, one sequence, Hq / Hkv heads of dimension D. */
public enum Workload {
    /** 128 tokens, 16/8 heads, D 128. */
    S128(16, 8, 128, 128, 128),
    /** 512 tokens, 16/8 heads, D 128. */
    S512(16, 8, 512, 512, 128),
    /** 1,024 tokens, 16/8 heads, D 128. */
    S1024(16, 8, 1024, 1024, 128),
    /** 2,048 tokens, 16/8 heads, D 128. */
    S2048(16, 8, 2048, 2048, 128),
    /** 4,096 tokens, 16/8 heads, D 128. */
    S4096(16, 8, 4096, 4096, 128),
    /** 1,024 tokens, 16/16 heads, D 64. */
    S1024_D64(16, 16, 1024, 1024, 64),
    /** 1,024 tokens, 16/2 heads, D 256: a Qwen3-Next layer. */
    S1024_D256(16, 2, 1024, 1024, 256),
    /** One query over 512 keys, 16/8 heads, D 128. */
    DECODE_512(16, 8, 1, 512, 128),
    /** One query over 4,096 keys, 16/8 heads, D 128. */
    DECODE_4096(16, 8, 1, 4096, 128),
    /** One query over 32,768 keys, 16/8 heads, D 128. */
    DECODE_32768(16, 8, 1, 32768, 128);

    @SuppressWarnings("ImmutableEnumChecker") // a record of numbers
    private final AttentionShape shape;

    Workload(int queryHeads, int keyValueHeads, int queries, int keys, int dim) {
        shape = new AttentionShape(1, queryHeads, keyValueHeads, queries, keys, dim, true, Layout.SEQUENCE_MAJOR);
    }

    /** {@return the shape, operands laid out [B, S, H, D]} */
    public AttentionShape shape() {
        return shape;
    }

    /** {@return whether one query reads a cache: bound by memory, not by arithmetic} */
    public boolean isDecode() {
        return shape.queryLength() == 1;
    }

    /** {@return whether it is a decode over more keys and values than any cache holds: memory is its limit} */
    public boolean isMemoryBound() {
        return this == DECODE_32768;
    }

    /**
     * {@return bytes of q, k, v and gate, read once, and of the output}
     *
     * @param precision the type of all of them
     */
    public long bytes(Precision precision) {
        return (3L * shape.queryElements() + 2L * shape.keyElements()) * precision.bytes();
    }
}
