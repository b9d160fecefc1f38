package io.github.gatedattention.baselines;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;

/** Gated attention as the formula reads: plain loops over {@code float[]}, heads spread over threads. */
public final class PlainJavaAttention implements FloatAttention {
    private final AttentionShape shape;
    private final WorkerPool pool;
    private final AtomicInteger nextHead = new AtomicInteger();
    private final float[][] scores; // per thread, one row of keyLength

    /**
     * Starts the threads.
     *
     * @param shape the shape of every call
     * @param threads how many threads compute, the caller's included
     */
    public PlainJavaAttention(AttentionShape shape, int threads) {
        this.shape = shape;
        pool = new WorkerPool(threads);
        scores = new float[threads][shape.keyLength()];
    }

    @Override
    public AttentionShape shape() {
        return shape;
    }

    @Override
    public void forward(float[] q, float[] k, float[] v, float[] gate, float[] out) {
        FloatAttention.requireSizes(shape, q, k, v, gate, out);
        int heads = shape.batch() * shape.queryHeads();
        nextHead.set(0);
        pool.run(thread -> {
            for (int h; (h = nextHead.getAndIncrement()) < heads; ) {
                head(h / shape.queryHeads(), h % shape.queryHeads(), q, k, v, gate, out, scores[thread]);
            }
        });
    }

    @Override
    public void close() {
        pool.close();
    }

    private void head(int b, int h, float[] q, float[] k, float[] v, float[] gate, float[] out, float[] row) {
        int keys = shape.keyOffset(b, h / shape.groupSize());
        int queries = shape.queryOffset(b, h);
        for (int i = 0; i < shape.queryLength(); i++) {
            int query = queries + i * shape.queryStride();
            int visible = shape.visibleKeys(i);
            scoreRow(q, query, k, keys, visible, row);
            float sum = exponentials(row, visible);
            weightedSum(row, visible, visible == 0 ? 0 : 1 / sum, v, keys, out, query);
            applyGate(gate, out, query);
        }
    }

    private void scoreRow(float[] q, int query, float[] k, int keys, int visible, float[] row) {
        float scale = shape.scale();
        for (int j = 0; j < visible; j++) {
            int key = keys + j * shape.keyStride();
            float dot = 0;
            for (int e = 0; e < shape.headDim(); e++) {
                dot += q[query + e] * k[key + e];
            }
            row[j] = dot * scale;
        }
    }

    /** Replaces scores by exp(score - max); returns their sum. */
    private static float exponentials(float[] row, int visible) {
        float max = Float.NEGATIVE_INFINITY;
        for (int j = 0; j < visible; j++) {
            max = Math.max(max, row[j]);
        }
        float sum = 0;
        for (int j = 0; j < visible; j++) {
            row[j] = (float) Math.exp(row[j] - max);
            sum += row[j];
        }
        return sum;
    }

    private void weightedSum(float[] row, int visible, float factor, float[] v, int values, float[] out, int target) {
        Arrays.fill(out, target, target + shape.headDim(), 0f);
        for (int j = 0; j < visible; j++) {
            float weight = row[j] * factor;
            int value = values + j * shape.keyStride();
            for (int e = 0; e < shape.headDim(); e++) {
                out[target + e] += weight * v[value + e];
            }
        }
    }

    private void applyGate(float[] gate, float[] out, int at) {
        for (int e = 0; e < shape.headDim(); e++) {
            out[at + e] *= (float) (1 / (1 + Math.exp(-gate[at + e])));
        }
    }
}
