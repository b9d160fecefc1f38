package io.github.gatedattention.baselines;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * Gated attention in float64: what every other result is measured against.
 *
 * <p>K is transposed first, so that the inner loops run over keys: the JIT compiler vectorizes them, and 2,048
 * queries take about a second instead of twenty.
 */
public final class Float64Reference {
    private Float64Reference() {}

    /**
     * Computes {@code softmax(q kᵀ / sqrt(D)) v * sigmoid(gate)} with every step in float64.
     *
     * @param shape the shape of the operands
     * @param q queries
     * @param k keys
     * @param v values
     * @param gate the gate's scores
     * @return the result, in the shape's layout
     */
    public static double[] forward(AttentionShape shape, float[] q, float[] k, float[] v, float[] gate) {
        double[] out = new double[shape.queryElements()];
        FloatAttention.requireSizes(shape, q, k, v, gate, new float[out.length]);
        IntStream.range(0, shape.batch() * shape.keyValueHeads())
                .parallel()
                .forEach(head ->
                        group(shape, head / shape.keyValueHeads(), head % shape.keyValueHeads(), q, k, v, gate, out));
        return out;
    }

    private static void group(
            AttentionShape shape, int b, int keyHead, float[] q, float[] k, float[] v, float[] gate, double[] out) {
        double[][] keys = transposed(shape, k, shape.keyOffset(b, keyHead));
        double[] weights = new double[shape.keyLength()];
        double[] sums = new double[shape.headDim()];
        for (int r = 0; r < shape.groupSize(); r++) {
            int queries = shape.queryOffset(b, keyHead * shape.groupSize() + r);
            for (int i = 0; i < shape.queryLength(); i++) {
                int query = queries + i * shape.queryStride();
                int visible = shape.visibleKeys(i);
                double total = weights(shape, q, query, keys, weights, visible);
                weightedSum(shape, weights, visible, v, shape.keyOffset(b, keyHead), sums);
                for (int e = 0; e < sums.length; e++) {
                    double sigmoid = 1 / (1 + Math.exp(-(double) gate[query + e]));
                    out[query + e] = visible == 0 ? 0 : sums[e] / total * sigmoid;
                }
            }
        }
    }

    /** One head's keys as [D][Sk]. */
    static double[][] transposed(AttentionShape shape, float[] k, int first) {
        double[][] keys = new double[shape.headDim()][shape.keyLength()];
        for (int j = 0; j < shape.keyLength(); j++) {
            for (int e = 0; e < keys.length; e++) {
                keys[e][j] = k[first + j * shape.keyStride() + e];
            }
        }
        return keys;
    }

    /** Fills the exponentials of one row's scores and returns their sum. */
    static double weights(AttentionShape shape, float[] q, int query, double[][] keys, double[] weights, int visible) {
        Arrays.fill(weights, 0, visible, 0);
        for (int e = 0; e < keys.length; e++) {
            addScaled(weights, q[query + e], keys[e], visible);
        }
        double scale = 1 / Math.sqrt(shape.headDim());
        double max = Arrays.stream(weights, 0, visible).max().orElse(0);
        double total = 0;
        for (int j = 0; j < visible; j++) {
            weights[j] = Math.exp((weights[j] - max) * scale);
            total += weights[j];
        }
        return total;
    }

    static void addScaled(double[] to, double factor, double[] from, int count) {
        for (int j = 0; j < count; j++) {
            to[j] += factor * from[j];
        }
    }

    private static void weightedSum(
            AttentionShape shape, double[] weights, int visible, float[] v, int first, double[] sums) {
        Arrays.fill(sums, 0);
        for (int j = 0; j < visible; j++) {
            double weight = weights[j];
            int value = first + j * shape.keyStride();
            for (int e = 0; e < sums.length; e++) {
                sums[e] += weight * v[value + e];
            }
        }
    }

    /**
     * {@return the relative L2 error: the length of {@code actual - expected} over that of {@code expected}}
     *
     * @param expected float64 values
     * @param actual what was computed
     */
    public static double relativeError(double[] expected, float[] actual) {
        if (expected.length != actual.length) {
            throw new IllegalArgumentException(
                    "actual holds " + actual.length + " elements, expected " + expected.length);
        }
        double error = 0;
        double size = 0;
        for (int i = 0; i < expected.length; i++) {
            double difference = actual[i] - expected[i];
            error += difference * difference;
            size += expected[i] * expected[i];
        }
        return Math.sqrt(error / size);
    }
}
