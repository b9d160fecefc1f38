package io.github.gatedattention.cli.demo;

import io.github.gatedattention.DataType;
import io.github.gatedattention.Tensor;

/**
 * The operands of one causal call on a single sequence as float32 arrays {@code [sequence, head, dim]}, rounded to the type that was
 * computed with: what the exact rows and the Java versions read.
 */
record Problem(
        int queryHeads,
        int keyValueHeads,
        int dim,
        int queries,
        int keys,
        float[] q,
        float[] k,
        float[] v,
        float[] gate) {
    /** Copies tensors {@code [1, sequence, head, dim]}. */
    static Problem of(Tensor q, Tensor k, Tensor v, Tensor gate) {
        return new Problem(
                Math.toIntExact(q.dim(2)),
                Math.toIntExact(k.dim(2)),
                Math.toIntExact(q.dim(3)),
                Math.toIntExact(q.dim(1)),
                Math.toIntExact(k.dim(1)),
                q.toFloatArray(),
                k.toFloatArray(),
                v.toFloatArray(),
                gate.toFloatArray());
    }

    /** Compares a result with float64 on every {@code step}-th query from the last one back, all heads. */
    Accuracy accuracy(float[] out, DataType type, int step) {
        var accuracy = new Accuracy.Builder(type);
        for (int query = queries - 1; query >= 0; query -= step) {
            for (int head = 0; head < queryHeads; head++) {
                var row = new ExactRow(this, query, head);
                for (int e = 0; e < dim; e++) {
                    accuracy.add(out[(query * queryHeads + head) * dim + e], row, e);
                }
            }
        }
        return accuracy.build();
    }
}
