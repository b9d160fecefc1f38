package io.github.gatedattention.bench;

import io.github.gatedattention.baselines.AttentionShape;
import io.github.gatedattention.baselines.Layout;
import java.util.Arrays;

/** The shapes that are timed: causal, Hq / Hkv heads of dimension D, one sequence and an element-wise gate unless named. */
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
    DECODE_32768(16, 8, 1, 32768, 128),
    /** One query in each of 4 sequences over 4,096 keys, 16/8 heads, D 128. */
    DECODE_4096_B4(4, 16, 8, 1, 4096, 128, Gating.ELEMENTWISE),
    /** One query in each of 8 sequences over 4,096 keys, 16/8 heads, D 128. */
    DECODE_4096_B8(8, 16, 8, 1, 4096, 128, Gating.ELEMENTWISE),
    /** The last 512 of 4,096 tokens of a prompt, over a cache that has them all, 16/8 heads, D 128. */
    CHUNK_512(16, 8, 512, 4096, 128),
    /** {@link #S1024} without a gate. */
    S1024_UNGATED(1, 16, 8, 1024, 1024, 128, Gating.NONE),
    /** {@link #S1024} with a score per head. */
    S1024_HEADWISE(1, 16, 8, 1024, 1024, 128, Gating.HEADWISE),
    /** {@link #DECODE_4096} without a gate. */
    DECODE_4096_UNGATED(1, 16, 8, 1, 4096, 128, Gating.NONE),
    /** {@link #DECODE_4096} with a score per head. */
    DECODE_4096_HEADWISE(1, 16, 8, 1, 4096, 128, Gating.HEADWISE),
    /**
     * Prompts of 8 sequences of 7 to 512 tokens, 1,500 in all, 16/8 heads, D 128. The shape is that of the batch padded to the
     * longest, which causal attention on the rows in use does not differ from.
     */
    RAGGED_512_B8(8, 16, 8, 512, 128, 512, 48, 256, 100, 7, 333, 180, 64),
    /** A step of training, 512 tokens, 16/8 heads, D 128: the result, and the gradients of all operands from one of it. */
    STEP_512(512, Gating.ELEMENTWISE),
    /** A step of training, 1,024 tokens, 16/8 heads, D 128. */
    STEP_1024(1024, Gating.ELEMENTWISE),
    /** A step of training, 2,048 tokens, 16/8 heads, D 128. */
    STEP_2048(2048, Gating.ELEMENTWISE),
    /** {@link #STEP_1024} without a gate. */
    STEP_1024_UNGATED(1024, Gating.NONE),
    /** {@link #STEP_1024} with a score per head. */
    STEP_1024_HEADWISE(1024, Gating.HEADWISE),
    /** One query, one key, one head, D 8: the call is most of the time. */
    CALL(1, 1, 1, 1, 1, 8, Gating.ELEMENTWISE);

    /** How many forward passes the products of a step are: two of them forward, five backward. */
    private static final double STEP_PASSES = 3.5;

    /** Beyond what any cache of today keeps for one process, in bytes of f32. */
    private static final long BEYOND_CACHES = 200L << 20;

    @SuppressWarnings("ImmutableEnumChecker") // a record of numbers
    private final AttentionShape shape;

    private final Gating gating;

    @SuppressWarnings("ImmutableEnumChecker") // never written
    private final int[] lengths; // empty: all are full

    private final boolean step;

    Workload(int queryHeads, int keyValueHeads, int queries, int keys, int dim) {
        this(1, queryHeads, keyValueHeads, queries, keys, dim, Gating.ELEMENTWISE);
    }

    Workload(int batch, int queryHeads, int keyValueHeads, int queries, int keys, int dim, Gating gating) {
        shape = new AttentionShape(batch, queryHeads, keyValueHeads, queries, keys, dim, true, Layout.SEQUENCE_MAJOR);
        this.gating = gating;
        this.lengths = new int[0];
        this.step = false;
    }

    /** A step of training. */
    Workload(int tokens, Gating gating) {
        shape = new AttentionShape(1, 16, 8, tokens, tokens, 128, true, Layout.SEQUENCE_MAJOR);
        this.gating = gating;
        this.lengths = new int[0];
        this.step = true;
    }

    Workload(int batch, int queryHeads, int keyValueHeads, int longest, int dim, int... lengths) {
        shape = new AttentionShape(
                batch, queryHeads, keyValueHeads, longest, longest, dim, true, Layout.SEQUENCE_MAJOR);
        this.gating = Gating.ELEMENTWISE;
        this.lengths = lengths;
        this.step = false;
    }

    /** {@return whether sequences have lengths of their own} */
    public boolean isRagged() {
        return lengths.length > 0;
    }

    /**
     * {@return how many queries and keys a sequence has}
     *
     * @param b the sequence
     */
    public int length(int b) {
        return isRagged() ? lengths[b] : shape.queryLength();
    }

    /** {@return whether it is a step of training: forward and backward} */
    public boolean isStep() {
        return step;
    }

    /** {@return floating-point operations of all matrix products, rows of padding left out} */
    public long flop() {
        if (step) {
            return (long) (STEP_PASSES * shape.flop());
        }
        if (!isRagged()) {
            return shape.flop();
        }
        long pairs = 0;
        for (int length : lengths) {
            pairs += (long) length * (length + 1) / 2;
        }
        return 4L * shape.headDim() * shape.queryHeads() * pairs;
    }

    /**
     * Makes the rows after each sequence's length zero: padding is no part of a result.
     *
     * @param out [B, Sq, Hq, D], as computed
     * @param expected the same in float64
     */
    public void clearPadding(float[] out, double[] expected) {
        int row = shape.queryHeads() * shape.headDim();
        for (int b = 0; isRagged() && b < lengths.length; b++) {
            int from = (b * shape.queryLength() + lengths[b]) * row;
            int to = (b + 1) * shape.queryLength() * row;
            Arrays.fill(out, from, to, 0);
            Arrays.fill(expected, from, to, 0);
        }
    }

    /** {@return the shape, operands laid out [B, S, H, D]} */
    public AttentionShape shape() {
        return shape;
    }

    /** {@return what multiplies the output} */
    public Gating gating() {
        return gating;
    }

    /** {@return whether one query reads a cache: bound by memory, not by arithmetic} */
    public boolean isDecode() {
        return shape.queryLength() == 1;
    }

    /** {@return whether it is a decode over more keys and values than any cache holds: memory is its limit} */
    public boolean isMemoryBound() {
        return isDecode() && bytes(Precision.F32) > BEYOND_CACHES;
    }

    /**
     * {@return bytes of q, k, v and gate, read once, and of the output}
     *
     * @param precision the type of all of them
     */
    public long bytes(Precision precision) {
        return bytesBesideKeys(precision) + 2L * shape.keyElements() * precision.bytes();
    }

    /**
     * {@return bytes of q and gate, read once, and of the output}
     *
     * @param precision the type of all of them
     */
    public long bytesBesideKeys(Precision precision) {
        long outputs = shape.queryElements();
        long scores = switch (gating) {
            case NONE -> 0;
            case HEADWISE -> outputs / shape.headDim();
            case ELEMENTWISE -> outputs;
        };
        return (2L * outputs + scores) * precision.bytes();
    }
}
