package io.github.gatedattention.bench.peers;

import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Sequences;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.baselines.AttentionShape;
import io.github.gatedattention.bench.Inputs;
import io.github.gatedattention.bench.Workload;
import java.lang.foreign.Arena;

/** This library on sequences of their own lengths, packed without gaps. */
final class PackedPeer implements Peer {
    static final String TUNING = "Sequences.packed: no padding; the other rows compute the padded batch";

    private final Arena arena = Arena.ofShared();
    private final Workload workload;
    private final GatedAttention attention;
    private final Operands operands;

    PackedPeer(Inputs inputs, int threads) {
        workload = inputs.workload();
        if (!workload.isRagged()) {
            throw new IllegalArgumentException("packing is for sequences of their own lengths");
        }
        AttentionShape s = workload.shape();
        DataType type = LibraryPeer.type(inputs);
        attention = LibraryPeer.attention(inputs, threads);
        int[] starts = new int[s.batch() + 1];
        for (int b = 0; b < s.batch(); b++) {
            starts[b + 1] = starts[b] + workload.length(b);
        }
        int total = starts[s.batch()];
        Tensor cu = Tensor.copyOf(arena, DataType.I32, starts, starts.length);
        Tensor q =
                Tensor.copyOf(arena, type, packed(inputs.q(), s.queryHeads()), 1, total, s.queryHeads(), s.headDim());
        Tensor k = Tensor.copyOf(
                arena, type, packed(inputs.k(), s.keyValueHeads()), 1, total, s.keyValueHeads(), s.headDim());
        Tensor v = Tensor.copyOf(
                arena, type, packed(inputs.v(), s.keyValueHeads()), 1, total, s.keyValueHeads(), s.headDim());
        Tensor gate = Tensor.copyOf(
                arena, type, packed(inputs.gate(), s.queryHeads()), 1, total, s.queryHeads(), s.headDim());
        Tensor out = Tensor.allocate(arena, type, 1, total, s.queryHeads(), s.headDim());
        operands = Operands.of(q, k, v, gate, out).withSequences(Sequences.packed(cu, cu));
    }

    /** The rows in use of a padded operand, one sequence after the other. */
    private float[] packed(float[] padded, int heads) {
        AttentionShape s = workload.shape();
        int row = heads * s.headDim();
        int total = 0;
        for (int b = 0; b < s.batch(); b++) {
            total += workload.length(b);
        }
        float[] rows = new float[total * row];
        int to = 0;
        for (int b = 0; b < s.batch(); b++) {
            int count = workload.length(b) * row;
            System.arraycopy(padded, b * s.queryLength() * row, rows, to, count);
            to += count;
        }
        return rows;
    }

    @Override
    public void forward() {
        attention.forward(operands);
    }

    @Override
    public float[] output() {
        AttentionShape s = workload.shape();
        int row = s.queryHeads() * s.headDim();
        float[] packed = operands.out().toFloatArray();
        float[] padded = new float[s.queryElements()];
        int from = 0;
        for (int b = 0; b < s.batch(); b++) {
            int count = workload.length(b) * row;
            System.arraycopy(packed, from, padded, b * s.queryLength() * row, count);
            from += count;
        }
        return padded;
    }

    @Override
    public void close() {
        attention.close();
        arena.close();
    }
}
