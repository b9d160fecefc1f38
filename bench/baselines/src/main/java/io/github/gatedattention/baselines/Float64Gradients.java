package io.github.gatedattention.baselines;

import java.util.Arrays;
import java.util.stream.IntStream;

/**
 * The gradients of {@link Float64Reference#forward}, in float64, each in the layout of its input.
 *
 * @param dQ of the queries
 * @param dK of the keys
 * @param dV of the values
 * @param dGate of the gate's scores, one per element
 */
@SuppressWarnings("ArrayRecordComponent") // large, and never compared
public record Float64Gradients(double[] dQ, double[] dK, double[] dV, double[] dGate) {

    /**
     * {@return the gradients of {@code softmax(q kᵀ / sqrt(D)) v * sigmoid(gate)}}
     *
     * @param shape the shape of the operands
     * @param q queries
     * @param k keys
     * @param v values
     * @param gate the gate's scores
     * @param dOut the gradient of the result
     */
    public static Float64Gradients of(
            AttentionShape shape, float[] q, float[] k, float[] v, float[] gate, float[] dOut) {
        FloatAttention.requireSizes(shape, q, k, v, gate, dOut);
        var gradients = new Float64Gradients(
                new double[q.length], new double[k.length], new double[v.length], new double[gate.length]);
        IntStream.range(0, shape.batch() * shape.keyValueHeads())
                .parallel()
                .forEach(head -> gradients.new Group(shape, q, k, v, gate, dOut)
                        .run(head / shape.keyValueHeads(), head % shape.keyValueHeads()));
        return gradients;
    }

    /** The query heads that share a key/value head: nobody else writes to its gradients. */
    private final class Group {
        private final AttentionShape shape;
        private final float[] q;
        private final float[] k;
        private final float[] v;
        private final float[] gate;
        private final float[] dOut;
        private final double[] weights;
        private final double[] slopes;
        private final double[] dY;

        Group(AttentionShape shape, float[] q, float[] k, float[] v, float[] gate, float[] dOut) {
            this.shape = shape;
            this.q = q;
            this.k = k;
            this.v = v;
            this.gate = gate;
            this.dOut = dOut;
            weights = new double[shape.keyLength()];
            slopes = new double[shape.keyLength()];
            dY = new double[shape.headDim()];
        }

        void run(int b, int keyHead) {
            int first = shape.keyOffset(b, keyHead);
            double[][] keys = Float64Reference.transposed(shape, k, first);
            double[][] values = Float64Reference.transposed(shape, v, first);
            for (int r = 0; r < shape.groupSize(); r++) {
                int queries = shape.queryOffset(b, keyHead * shape.groupSize() + r);
                for (int i = 0; i < shape.queryLength(); i++) {
                    row(queries + i * shape.queryStride(), shape.visibleKeys(i), first, keys, values);
                }
            }
        }

        private void row(int query, int visible, int first, double[][] keys, double[][] values) {
            double total = Float64Reference.weights(shape, q, query, keys, weights, visible);
            for (int j = 0; j < visible; j++) {
                weights[j] /= total;
            }
            double delta = 0;
            for (int e = 0; e < dY.length; e++) {
                double y = 0;
                for (int j = 0; j < visible; j++) {
                    y += weights[j] * values[e][j];
                }
                double sigmoid = 1 / (1 + Math.exp(-(double) gate[query + e]));
                dY[e] = dOut[query + e] * sigmoid;
                dGate[query + e] = dY[e] * y * (1 - sigmoid);
                delta += dY[e] * y;
            }
            Arrays.fill(slopes, 0, visible, 0);
            for (int e = 0; e < dY.length; e++) {
                Float64Reference.addScaled(slopes, dY[e], values[e], visible);
            }
            double scale = 1 / Math.sqrt(shape.headDim());
            for (int j = 0; j < visible; j++) {
                double slope = scale * weights[j] * (slopes[j] - delta);
                int key = first + j * shape.keyStride();
                for (int e = 0; e < dY.length; e++) {
                    dQ[query + e] += slope * k[key + e];
                    dK[key + e] += slope * q[query + e];
                    dV[key + e] += weights[j] * dY[e];
                }
            }
        }
    }
}
