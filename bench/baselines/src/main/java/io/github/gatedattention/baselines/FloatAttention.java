package io.github.gatedattention.baselines;

/**
 * One way to compute gated attention over arrays, for one shape.
 *
 * <p>An instance owns its threads and its scratch memory, and serves one caller at a time.
 */
public interface FloatAttention extends AutoCloseable {
    /** {@return the shape that {@link #forward} takes} */
    AttentionShape shape();

    /**
     * Computes {@code out = softmax(q kᵀ / sqrt(D)) v * sigmoid(gate)}. A row that sees no key becomes 0.
     *
     * @param q queries, in the shape's layout
     * @param k keys
     * @param v values
     * @param gate the gate's scores, shaped like q
     * @param out receives the result, shaped like q
     */
    void forward(float[] q, float[] k, float[] v, float[] gate, float[] out);

    /** Stops the threads. */
    @Override
    void close();

    /**
     * Checks that every array has the shape's size.
     *
     * @param shape the shape
     * @param q queries
     * @param k keys
     * @param v values
     * @param gate the gate's scores
     * @param out the result
     */
    static void requireSizes(AttentionShape shape, float[] q, float[] k, float[] v, float[] gate, float[] out) {
        requireSize("q", q, shape.queryElements());
        requireSize("k", k, shape.keyElements());
        requireSize("v", v, shape.keyElements());
        requireSize("gate", gate, shape.queryElements());
        requireSize("out", out, shape.queryElements());
    }

    private static void requireSize(String name, float[] values, int size) {
        if (values.length != size) {
            throw new IllegalArgumentException(name + " holds " + values.length + " elements; the shape needs " + size);
        }
    }
}
