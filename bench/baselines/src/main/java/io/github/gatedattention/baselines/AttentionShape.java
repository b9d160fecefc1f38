package io.github.gatedattention.baselines;

/**
 * The shape of one attention call, and where each row of its operands lies.
 *
 * <p>q, gate and out hold {@code batch * queryLength * queryHeads} rows of {@code headDim} floats, k
 * and v {@code batch * keyLength * keyValueHeads}. Query head h reads key/value head
 * {@code h / groupSize()}. Causal is aligned to the bottom right: query i sees key j when
 * {@code j <= i + keyLength - queryLength}.
 *
 * @param batch sequences, B
 * @param queryHeads query heads, Hq, a multiple of {@code keyValueHeads}
 * @param keyValueHeads key/value heads, Hkv
 * @param queryLength query rows per sequence, Sq
 * @param keyLength keys per sequence, Sk
 * @param headDim elements per row, D
 * @param causal whether a query sees only the keys up to its own position
 * @param layout the order of the axes
 */
public record AttentionShape(
        int batch,
        int queryHeads,
        int keyValueHeads,
        int queryLength,
        int keyLength,
        int headDim,
        boolean causal,
        Layout layout) {

    /** Checks that every extent is positive, that the heads group evenly and that the operands fit in arrays. */
    public AttentionShape {
        requirePositive("batch", batch);
        requirePositive("queryHeads", queryHeads);
        requirePositive("keyValueHeads", keyValueHeads);
        requirePositive("queryLength", queryLength);
        requirePositive("keyLength", keyLength);
        requirePositive("headDim", headDim);
        if (queryHeads % keyValueHeads != 0) {
            throw new IllegalArgumentException(
                    "queryHeads is " + queryHeads + ", which is not a multiple of keyValueHeads, " + keyValueHeads);
        }
        requireArraySize("q", batch, queryLength, queryHeads, headDim);
        requireArraySize("k", batch, keyLength, keyValueHeads, headDim);
    }

    private static void requirePositive(String name, int value) {
        if (value < 1) {
            throw new IllegalArgumentException(name + " is " + value + "; it must be at least 1");
        }
    }

    private static void requireArraySize(String name, int batch, int length, int heads, int dim) {
        double elements = (double) batch * length * heads * dim;
        if (elements > Integer.MAX_VALUE - 8) {
            throw new IllegalArgumentException(
                    String.format("%s would hold %.0f elements; an array holds at most 2^31 - 9", name, elements));
        }
    }

    /** {@return query heads per key/value head, R} */
    public int groupSize() {
        return queryHeads / keyValueHeads;
    }

    /** {@return 1 / sqrt(D), what the scores are multiplied by} */
    public float scale() {
        return (float) (1 / Math.sqrt(headDim));
    }

    /** {@return elements of q, gate and out} */
    public int queryElements() {
        return batch * queryLength * queryHeads * headDim;
    }

    /** {@return elements of k and v} */
    public int keyElements() {
        return batch * keyLength * keyValueHeads * headDim;
    }

    /**
     * {@return the index in q, gate and out of the first element of the given head's first row}
     *
     * @param b the sequence
     * @param head the query head
     */
    public int queryOffset(int b, int head) {
        return (b * queryHeads * queryLength + (layout == Layout.HEAD_MAJOR ? head * queryLength : head)) * headDim;
    }

    /**
     * {@return the index in k and v of the first element of the given head's first row}
     *
     * @param b the sequence
     * @param head the key/value head
     */
    public int keyOffset(int b, int head) {
        return (b * keyValueHeads * keyLength + (layout == Layout.HEAD_MAJOR ? head * keyLength : head)) * headDim;
    }

    /** {@return elements from one query row of a head to the next} */
    public int queryStride() {
        return layout == Layout.HEAD_MAJOR ? headDim : queryHeads * headDim;
    }

    /** {@return elements from one key row of a head to the next} */
    public int keyStride() {
        return layout == Layout.HEAD_MAJOR ? headDim : keyValueHeads * headDim;
    }

    /**
     * {@return how many keys, counted from the first, a query sees; 0 when it sees none}
     *
     * @param query its position
     */
    public int visibleKeys(int query) {
        return causal ? Math.clamp((long) query + 1 + keyLength - queryLength, 0, keyLength) : keyLength;
    }

    /** {@return query-key pairs that attend to each other, over all heads and sequences} */
    public long visiblePairs() {
        long perHead = 0;
        for (int i = 0; i < queryLength; i++) {
            perHead += visibleKeys(i);
        }
        return perHead * batch * queryHeads;
    }

    /** {@return floating-point operations of the two matrix products: 4 D per visible pair} */
    public long flop() {
        return 4L * headDim * visiblePairs();
    }
}
