package io.github.gatedattention.bench.peers;

import io.github.gatedattention.Backend;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Mask;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.baselines.AttentionShape;
import io.github.gatedattention.bench.Inputs;
import io.github.gatedattention.bench.Precision;
import java.lang.foreign.Arena;

/** This library, as a user calls it: tensors off-heap, [B, S, H, D], one {@link GatedAttention#forward} per call. */
final class LibraryPeer implements Peer {
    static final String TUNING = "defaults; tensors off-heap, [B, S, H, D]";

    private final Arena arena = Arena.ofShared();
    private final GatedAttention attention;
    private final Tensor q;
    private final Tensor k;
    private final Tensor v;
    private final Tensor gate;
    private final Tensor out;

    LibraryPeer(Inputs inputs, int threads) {
        AttentionShape s = inputs.workload().shape();
        DataType type = inputs.precision() == Precision.BF16 ? DataType.BF16 : DataType.F32;
        attention = GatedAttention.builder()
                .queryHeads(s.queryHeads())
                .keyValueHeads(s.keyValueHeads())
                .headDim(s.headDim())
                .dataType(type)
                .mask(Mask.causal())
                .backend(Backend.cpu())
                .threads(threads)
                .build();
        long[] queries = {s.batch(), s.queryLength(), s.queryHeads(), s.headDim()};
        long[] keys = {s.batch(), s.keyLength(), s.keyValueHeads(), s.headDim()};
        q = Tensor.copyOf(arena, type, inputs.q(), queries);
        k = Tensor.copyOf(arena, type, inputs.k(), keys);
        v = Tensor.copyOf(arena, type, inputs.v(), keys);
        gate = Tensor.copyOf(arena, type, inputs.gate(), queries);
        out = Tensor.allocate(arena, type, queries);
    }

    @Override
    public void forward() {
        attention.forward(q, k, v, gate, out);
    }

    @Override
    public float[] output() {
        return out.toFloatArray();
    }

    @Override
    public void close() {
        attention.close();
        arena.close();
    }
}
