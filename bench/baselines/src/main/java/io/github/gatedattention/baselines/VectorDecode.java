package io.github.gatedattention.baselines;

import static io.github.gatedattention.baselines.VectorMath.LANES;
import static io.github.gatedattention.baselines.VectorMath.LOWEST;
import static io.github.gatedattention.baselines.VectorMath.SPECIES;
import static io.github.gatedattention.baselines.VectorMath.load;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;
import jdk.incubator.vector.FloatVector;
import jdk.incubator.vector.VectorOperators;

/**
 * One query per sequence: bound by how fast K and V can be read, so each is read once for all heads of a group.
 *
 * <p>A task is 512 keys of one key/value head. Its result, a weighted sum per query head with the maximum and the
 * sum of its exponentials, is merged with those of the other chunks at the end, in the order of the keys.
 */
final class VectorDecode {
    private static final int CHUNK = 512;
    /** Keys whose values stay in L1 while every head of the group uses them. */
    private static final int VALUE_BLOCK = 64;

    private final AttentionShape shape;
    private final WorkerPool pool;
    private final int chunks;
    private final int partialSize; // D sums, the maximum, the sum of exponentials; padded to whole vectors
    private final float[] partials; // [B, Hkv, chunks, R][partialSize]
    private final float[][] scores; // per thread [R][CHUNK]
    private final float[] merged;
    private final float[] scratch;
    private final AtomicInteger next = new AtomicInteger();
    private final WorkerPool.Task attending = this::attend;
    private float[] q;
    private float[] k;
    private float[] v;

    VectorDecode(AttentionShape shape, WorkerPool pool) {
        this.shape = shape;
        this.pool = pool;
        chunks = (shape.keyLength() + CHUNK - 1) / CHUNK;
        partialSize = shape.headDim() + LANES * Math.max(1, 2 / LANES);
        partials = new float[Math.multiplyExact(shape.batch() * shape.queryHeads(), chunks * partialSize)];
        scores = new float[pool.threads()][shape.groupSize() * CHUNK];
        merged = new float[shape.headDim()];
        scratch = new float[shape.headDim()];
    }

    void forward(float[] q, float[] k, float[] v, float[] gate, float[] out) {
        this.q = q;
        this.k = k;
        this.v = v;
        next.set(0);
        pool.run(attending);
        for (int b = 0; b < shape.batch(); b++) {
            for (int h = 0; h < shape.queryHeads(); h++) {
                merge(b, h, gate, out);
            }
        }
    }

    private void attend(int thread) {
        int tasks = shape.batch() * shape.keyValueHeads() * chunks;
        for (int task; (task = next.getAndIncrement()) < tasks; ) {
            chunk(scores[thread], task / chunks, task % chunks, task * shape.groupSize() * partialSize);
        }
    }

    private void chunk(float[] s, int keyHead, int chunk, int partial) {
        int b = keyHead / shape.keyValueHeads();
        int head = keyHead % shape.keyValueHeads();
        int first = chunk * CHUNK;
        int count = Math.min(CHUNK, shape.keyLength() - first);
        int keys = shape.keyOffset(b, head) + first * shape.keyStride();
        scores(s, shape.queryOffset(b, head * shape.groupSize()), keys, count);
        softmax(s, count, partial);
        for (int j = 0; j < count; j += VALUE_BLOCK) {
            values(s, j, Math.min(VALUE_BLOCK, count - j), keys + j * shape.keyStride(), partial);
        }
    }

    /** s[r][j] = q[r] . k[j] * scale * log2(e), four keys and two heads at a time. */
    private void scores(float[] s, int query, int keys, int count) {
        int group = shape.groupSize();
        int dim = shape.headDim();
        int stride = shape.keyStride();
        float factor = shape.scale() * VectorMath.LOG2_E;
        int whole = count - count % 4;
        for (int j = 0; j < whole; j += 4) {
            int key = keys + j * stride;
            for (int r = 0; r + 1 < group; r += 2) {
                dotsOfTwoHeads(q, query + r * dim, dim, k, key, stride, factor, s, r * CHUNK + j);
            }
            if (group % 2 == 1) {
                dotsOfOneHead(q, query + (group - 1) * dim, dim, k, key, stride, factor, s, (group - 1) * CHUNK + j);
            }
        }
        for (int j = whole; j < count; j++) {
            for (int r = 0; r < group; r++) {
                s[r * CHUNK + j] = factor * dot(q, query + r * dim, k, keys + j * stride, dim);
            }
        }
    }

    private static void dotsOfTwoHeads(
            float[] q, int query, int dim, float[] k, int key, int stride, float factor, float[] s, int to) {
        FloatVector d00 = VectorMath.zero();
        FloatVector d01 = d00;
        FloatVector d02 = d00;
        FloatVector d03 = d00;
        FloatVector d10 = d00;
        FloatVector d11 = d00;
        FloatVector d12 = d00;
        FloatVector d13 = d00;
        for (int e = 0; e < dim; e += LANES) {
            FloatVector q0 = load(q, query + e);
            FloatVector q1 = load(q, query + dim + e);
            FloatVector x = load(k, key + e);
            d00 = x.fma(q0, d00);
            d10 = x.fma(q1, d10);
            x = load(k, key + stride + e);
            d01 = x.fma(q0, d01);
            d11 = x.fma(q1, d11);
            x = load(k, key + 2 * stride + e);
            d02 = x.fma(q0, d02);
            d12 = x.fma(q1, d12);
            x = load(k, key + 3 * stride + e);
            d03 = x.fma(q0, d03);
            d13 = x.fma(q1, d13);
        }
        s[to] = factor * d00.reduceLanes(VectorOperators.ADD);
        s[to + 1] = factor * d01.reduceLanes(VectorOperators.ADD);
        s[to + 2] = factor * d02.reduceLanes(VectorOperators.ADD);
        s[to + 3] = factor * d03.reduceLanes(VectorOperators.ADD);
        s[to + CHUNK] = factor * d10.reduceLanes(VectorOperators.ADD);
        s[to + CHUNK + 1] = factor * d11.reduceLanes(VectorOperators.ADD);
        s[to + CHUNK + 2] = factor * d12.reduceLanes(VectorOperators.ADD);
        s[to + CHUNK + 3] = factor * d13.reduceLanes(VectorOperators.ADD);
    }

    private static void dotsOfOneHead(
            float[] q, int query, int dim, float[] k, int key, int stride, float factor, float[] s, int to) {
        FloatVector d0 = VectorMath.zero();
        FloatVector d1 = d0;
        FloatVector d2 = d0;
        FloatVector d3 = d0;
        for (int e = 0; e < dim; e += LANES) {
            FloatVector x = load(q, query + e);
            d0 = x.fma(load(k, key + e), d0);
            d1 = x.fma(load(k, key + stride + e), d1);
            d2 = x.fma(load(k, key + 2 * stride + e), d2);
            d3 = x.fma(load(k, key + 3 * stride + e), d3);
        }
        s[to] = factor * d0.reduceLanes(VectorOperators.ADD);
        s[to + 1] = factor * d1.reduceLanes(VectorOperators.ADD);
        s[to + 2] = factor * d2.reduceLanes(VectorOperators.ADD);
        s[to + 3] = factor * d3.reduceLanes(VectorOperators.ADD);
    }

    private static float dot(float[] q, int query, float[] k, int key, int dim) {
        FloatVector d = VectorMath.zero();
        for (int e = 0; e < dim; e += LANES) {
            d = load(q, query + e).fma(load(k, key + e), d);
        }
        return d.reduceLanes(VectorOperators.ADD);
    }

    /** Turns scores into exponentials; stores each head's maximum and sum, and clears its weighted sum. */
    private void softmax(float[] s, int count, int partial) {
        int padded = Math.min(CHUNK, (count + 4 * LANES - 1) / (4 * LANES) * (4 * LANES));
        int dim = shape.headDim();
        for (int r = 0; r < shape.groupSize(); r++) {
            int at = partial + r * partialSize;
            Arrays.fill(s, r * CHUNK + count, r * CHUNK + padded, LOWEST);
            float max = VectorMath.largest(s, r * CHUNK, padded);
            Arrays.fill(partials, at, at + dim, 0f);
            partials[at + dim] = max;
            partials[at + dim + 1] = VectorMath.exponentials(s, r * CHUNK, padded, max);
        }
    }

    /** partial[r] += sum of s[r][j] v[j], four vectors of two heads at a time. */
    private void values(float[] s, int first, int count, int value, int partial) {
        int group = shape.groupSize();
        int stride = shape.keyStride();
        int wide = shape.headDim() / (4 * LANES) * (4 * LANES);
        for (int r = 0; r < group; r++) {
            int at = r * CHUNK + first;
            int to = partial + r * partialSize;
            boolean pair = r + 1 < group;
            for (int e = 0; e < wide; e += 4 * LANES) {
                if (pair) {
                    weightedSumsOfTwoHeads(s, at, v, value + e, stride, count, partials, to + e, partialSize);
                } else {
                    weightedSums(s, at, v, value + e, stride, count, partials, to + e);
                }
            }
            for (int e = wide; e < shape.headDim(); e += LANES) {
                weightedSum(s, at, v, value + e, stride, count, partials, to + e);
                if (pair) {
                    weightedSum(s, at + CHUNK, v, value + e, stride, count, partials, to + partialSize + e);
                }
            }
            r += pair ? 1 : 0;
        }
    }

    private static void weightedSumsOfTwoHeads(
            float[] s, int at, float[] v, int value, int stride, int count, float[] to, int target, int step) {
        FloatVector a0 = load(to, target);
        FloatVector a1 = load(to, target + LANES);
        FloatVector a2 = load(to, target + 2 * LANES);
        FloatVector a3 = load(to, target + 3 * LANES);
        FloatVector b0 = load(to, target + step);
        FloatVector b1 = load(to, target + step + LANES);
        FloatVector b2 = load(to, target + step + 2 * LANES);
        FloatVector b3 = load(to, target + step + 3 * LANES);
        for (int j = 0; j < count; j++) {
            int row = value + j * stride;
            FloatVector a = FloatVector.broadcast(SPECIES, s[at + j]);
            FloatVector b = FloatVector.broadcast(SPECIES, s[at + CHUNK + j]);
            FloatVector x = load(v, row);
            a0 = a.fma(x, a0);
            b0 = b.fma(x, b0);
            x = load(v, row + LANES);
            a1 = a.fma(x, a1);
            b1 = b.fma(x, b1);
            x = load(v, row + 2 * LANES);
            a2 = a.fma(x, a2);
            b2 = b.fma(x, b2);
            x = load(v, row + 3 * LANES);
            a3 = a.fma(x, a3);
            b3 = b.fma(x, b3);
        }
        a0.intoArray(to, target);
        a1.intoArray(to, target + LANES);
        a2.intoArray(to, target + 2 * LANES);
        a3.intoArray(to, target + 3 * LANES);
        b0.intoArray(to, target + step);
        b1.intoArray(to, target + step + LANES);
        b2.intoArray(to, target + step + 2 * LANES);
        b3.intoArray(to, target + step + 3 * LANES);
    }

    private static void weightedSums(
            float[] s, int at, float[] v, int value, int stride, int count, float[] to, int target) {
        FloatVector a0 = load(to, target);
        FloatVector a1 = load(to, target + LANES);
        FloatVector a2 = load(to, target + 2 * LANES);
        FloatVector a3 = load(to, target + 3 * LANES);
        for (int j = 0; j < count; j++) {
            int row = value + j * stride;
            FloatVector a = FloatVector.broadcast(SPECIES, s[at + j]);
            a0 = a.fma(load(v, row), a0);
            a1 = a.fma(load(v, row + LANES), a1);
            a2 = a.fma(load(v, row + 2 * LANES), a2);
            a3 = a.fma(load(v, row + 3 * LANES), a3);
        }
        a0.intoArray(to, target);
        a1.intoArray(to, target + LANES);
        a2.intoArray(to, target + 2 * LANES);
        a3.intoArray(to, target + 3 * LANES);
    }

    private static void weightedSum(
            float[] s, int at, float[] v, int value, int stride, int count, float[] to, int target) {
        FloatVector a = load(to, target);
        for (int j = 0; j < count; j++) {
            a = FloatVector.broadcast(SPECIES, s[at + j]).fma(load(v, value + j * stride), a);
        }
        a.intoArray(to, target);
    }

    private void merge(int b, int h, float[] gate, float[] out) {
        int dim = shape.headDim();
        int group = shape.groupSize();
        int keyHead = b * shape.keyValueHeads() + h / group;
        int first = (keyHead * chunks * group + h % group) * partialSize;
        int step = group * partialSize;
        float max = LOWEST;
        for (int c = 0; c < chunks; c++) {
            max = Math.max(max, partials[first + c * step + dim]);
        }
        float weight = 0;
        Arrays.fill(merged, 0f);
        for (int c = 0; c < chunks; c++) {
            int at = first + c * step;
            float factor = (float) Math.exp((partials[at + dim] - max) / VectorMath.LOG2_E);
            weight += factor * partials[at + dim + 1];
            add(partials, at, factor, merged, dim);
        }
        VectorMath.gated(merged, 0, 1 / weight, gate, out, shape.queryOffset(b, h), dim, scratch);
    }

    private static void add(float[] from, int at, float factor, float[] to, int count) {
        for (int i = 0; i < count; i += LANES) {
            load(from, at + i).mul(factor).add(load(to, i)).intoArray(to, i);
        }
    }
}
