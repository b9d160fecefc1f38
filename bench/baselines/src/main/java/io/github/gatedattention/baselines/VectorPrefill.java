package io.github.gatedattention.baselines;

import static io.github.gatedattention.baselines.Microkernel.PANEL;
import static io.github.gatedattention.baselines.Microkernel.ROWS;
import static io.github.gatedattention.baselines.VectorMath.LOWEST;

import java.util.Arrays;
import java.util.concurrent.atomic.AtomicInteger;

/**
 * Many queries at once, flash style: blocks of 64 queries of one head meet blocks of 64 keys, scores never leave L1.
 *
 * <p>First K and V are packed once per key/value head into the microkernel's panels, K transposed. Then each thread
 * claims (sequence, head, query block) tasks, those with most visible keys first, and keeps a running maximum and
 * sum per row.
 */
final class VectorPrefill {
    private static final int QUERIES = 64;
    private static final int KEYS = 64;

    private final AttentionShape shape;
    private final WorkerPool pool;
    private final int paddedDim; // headDim rounded up to whole panels
    private final int keyBlocks;
    private final int queryBlocks;
    private final float[] packedK; // [B, Hkv, keyBlocks][KEYS / PANEL][D][PANEL]
    private final float[] packedV; // [B, Hkv, keyBlocks][paddedDim / PANEL][KEYS][PANEL]
    private final Scratch[] scratch;
    private final AtomicInteger next = new AtomicInteger();
    private final WorkerPool.Task packing = this::pack;
    private final WorkerPool.Task attending = this::attend;
    private float[] q;
    private float[] k;
    private float[] v;
    private float[] gate;
    private float[] out;

    /** What one thread works in: about 100 KiB at D 128. */
    private static final class Scratch {
        final float[] queries; // [QUERIES][D], scaled
        final float[] scores = new float[QUERIES * KEYS];
        final float[] sums; // [QUERIES][paddedDim], weighted sums of V
        final float[] gate; // [D], for the sigmoid
        final float[] max = new float[QUERIES];
        final float[] weight = new float[QUERIES]; // sum of exponentials

        Scratch(int dim, int paddedDim) {
            queries = new float[QUERIES * dim];
            sums = new float[QUERIES * paddedDim];
            gate = new float[dim];
        }
    }

    VectorPrefill(AttentionShape shape, WorkerPool pool) {
        this.shape = shape;
        this.pool = pool;
        paddedDim = (shape.headDim() + PANEL - 1) / PANEL * PANEL;
        keyBlocks = (shape.keyLength() + KEYS - 1) / KEYS;
        queryBlocks = (shape.queryLength() + QUERIES - 1) / QUERIES;
        int blocks = Math.multiplyExact(shape.batch() * shape.keyValueHeads(), keyBlocks);
        packedK = new float[Math.multiplyExact(blocks, KEYS * shape.headDim())];
        packedV = new float[Math.multiplyExact(blocks, KEYS * paddedDim)];
        scratch = new Scratch[pool.threads()];
        Arrays.setAll(scratch, thread -> new Scratch(shape.headDim(), paddedDim));
    }

    void forward(float[] q, float[] k, float[] v, float[] gate, float[] out) {
        this.q = q;
        this.k = k;
        this.v = v;
        this.gate = gate;
        this.out = out;
        next.set(0);
        pool.run(packing);
        next.set(0);
        pool.run(attending);
    }

    private void pack(int thread) {
        int blocks = shape.batch() * shape.keyValueHeads() * keyBlocks;
        for (int block; (block = next.getAndIncrement()) < blocks; ) {
            int head = block / keyBlocks;
            int first = block % keyBlocks * KEYS;
            int from = shape.keyOffset(head / shape.keyValueHeads(), head % shape.keyValueHeads())
                    + first * shape.keyStride();
            int count = Math.min(KEYS, shape.keyLength() - first);
            packKeys(from, count, block * KEYS * shape.headDim());
            packValues(from, count, block * KEYS * paddedDim);
        }
    }

    private void packKeys(int from, int count, int to) {
        for (int panel = 0; panel < KEYS; panel += PANEL) {
            int keys = Math.clamp(count - panel, 0, PANEL);
            transpose(from + panel * shape.keyStride(), keys, to + panel * shape.headDim());
        }
    }

    /** [keys][D] to [D][PANEL], 16 elements of 4 keys at a time; missing keys stay 0, as they were allocated. */
    private void transpose(int from, int keys, int to) {
        int dim = shape.headDim();
        int whole = keys - keys % 4;
        for (int e = 0; e < dim; e += 16) {
            for (int j = 0; j < whole; j += 4) {
                transpose16By4(k, from + j * shape.keyStride() + e, shape.keyStride(), packedK, to + e * PANEL + j);
            }
        }
        for (int j = whole; j < keys; j++) {
            for (int e = 0; e < dim; e++) {
                packedK[to + e * PANEL + j] = k[from + j * shape.keyStride() + e];
            }
        }
    }

    private static void transpose16By4(float[] from, int at, int stride, float[] to, int target) {
        int at1 = at + stride;
        int at2 = at1 + stride;
        int at3 = at2 + stride;
        for (int e = 0; e < 16; e++) {
            int t = target + e * PANEL;
            to[t] = from[at + e];
            to[t + 1] = from[at1 + e];
            to[t + 2] = from[at2 + e];
            to[t + 3] = from[at3 + e];
        }
    }

    private void packValues(int from, int count, int to) {
        for (int column = 0; column < shape.headDim(); column += PANEL) {
            int width = Math.min(PANEL, shape.headDim() - column);
            for (int j = 0; j < count; j++) {
                int source = from + j * shape.keyStride() + column;
                System.arraycopy(v, source, packedV, to + column * KEYS + j * PANEL, width);
            }
        }
    }

    private void attend(int thread) {
        int heads = shape.batch() * shape.queryHeads();
        int tasks = heads * queryBlocks;
        for (int task; (task = next.getAndIncrement()) < tasks; ) {
            int head = task % heads;
            int block = queryBlocks - 1 - task / heads;
            queryBlock(scratch[thread], head / shape.queryHeads(), head % shape.queryHeads(), block * QUERIES);
        }
    }

    private void queryBlock(Scratch s, int b, int head, int first) {
        int count = Math.min(QUERIES, shape.queryLength() - first);
        int query = shape.queryOffset(b, head) + first * shape.queryStride();
        begin(s, query, count);
        int keyHead = b * shape.keyValueHeads() + head / shape.groupSize();
        int seen = shape.visibleKeys(first + count - 1);
        for (int key = 0; key < seen; key += KEYS) {
            int block = keyHead * keyBlocks + key / KEYS;
            scores(s, block, count);
            softmax(s, first, count, key);
            values(s, block, count, Math.min(KEYS, seen - key));
        }
        for (int r = 0; r < count; r++) {
            float factor = s.weight[r] == 0 ? 0 : 1 / s.weight[r];
            int at = query + r * shape.queryStride();
            VectorMath.gated(s.sums, r * paddedDim, factor, gate, out, at, shape.headDim(), s.gate);
        }
    }

    /** Clears the running state and copies the queries, scaled so that scores are powers of two. */
    private void begin(Scratch s, int query, int count) {
        Arrays.fill(s.sums, 0f);
        Arrays.fill(s.max, LOWEST);
        Arrays.fill(s.weight, 0f);
        int dim = shape.headDim();
        float factor = shape.scale() * VectorMath.LOG2_E;
        for (int r = 0; r < count; r++) {
            VectorMath.scaled(q, query + r * shape.queryStride(), factor, s.queries, r * dim, dim);
        }
    }

    private void scores(Scratch s, int block, int count) {
        int dim = shape.headDim();
        int keys = block * KEYS * dim;
        for (int r = 0; r < count; r += ROWS) {
            for (int p = 0; p < KEYS; p += PANEL) {
                Microkernel.multiply(
                        s.queries, r * dim, dim, packedK, keys + p * dim, s.scores, r * KEYS + p, KEYS, dim, false);
            }
        }
    }

    private void softmax(Scratch s, int first, int count, int key) {
        for (int r = 0; r < count; r++) {
            int visible = Math.clamp(shape.visibleKeys(first + r) - key, 0, KEYS);
            if (visible == 0) {
                Arrays.fill(s.scores, r * KEYS, r * KEYS + KEYS, 0f);
            } else {
                softmaxRow(s, r, visible);
            }
        }
    }

    private void softmaxRow(Scratch s, int r, int visible) {
        int row = r * KEYS;
        Arrays.fill(s.scores, row + visible, row + KEYS, LOWEST);
        float before = s.max[r];
        float max = VectorMath.largest(s.scores, row, KEYS);
        if (max > before) {
            if (s.weight[r] != 0) {
                float factor = (float) Math.exp((before - max) / VectorMath.LOG2_E);
                s.weight[r] *= factor;
                VectorMath.scaled(s.sums, r * paddedDim, factor, s.sums, r * paddedDim, paddedDim);
            }
            s.max[r] = max;
        } else {
            max = before;
        }
        s.weight[r] += VectorMath.exponentials(s.scores, row, KEYS, max);
    }

    /** sums += P V over the block's first {@code keys} keys. */
    private void values(Scratch s, int block, int count, int keys) {
        int values = block * KEYS * paddedDim;
        for (int column = 0; column < paddedDim; column += PANEL) {
            for (int r = 0; r < count; r += ROWS) {
                Microkernel.multiply(
                        s.scores,
                        r * KEYS,
                        KEYS,
                        packedV,
                        values + column * KEYS,
                        s.sums,
                        r * paddedDim + column,
                        paddedDim,
                        keys,
                        true);
            }
        }
    }
}
