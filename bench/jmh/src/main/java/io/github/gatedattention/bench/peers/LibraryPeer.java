package io.github.gatedattention.bench.peers;

import io.github.gatedattention.Activation;
import io.github.gatedattention.Backend;
import io.github.gatedattention.DataType;
import io.github.gatedattention.Gate;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Mask;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.baselines.AttentionShape;
import io.github.gatedattention.bench.Gating;
import io.github.gatedattention.bench.Inputs;
import java.lang.foreign.Arena;
import org.jspecify.annotations.Nullable;

/** This library, as a user calls it: tensors off-heap, [B, S, H, D], one {@link GatedAttention#forward} per call. */
class LibraryPeer implements Peer {
    static final String TUNING = "defaults; tensors off-heap, [B, S, H, D]";

    final Arena arena = Arena.ofShared();
    final GatedAttention attention;
    final Tensor q;
    final Tensor k;
    final Tensor v;
    final @Nullable Tensor gate; // null without a gate
    final Tensor out;

    LibraryPeer(Inputs inputs, int threads) {
        AttentionShape s = inputs.workload().shape();
        DataType type = type(inputs);
        attention = attention(inputs, threads);
        long[] queries = {s.batch(), s.queryLength(), s.queryHeads(), s.headDim()};
        long[] keys = {s.batch(), s.keyLength(), s.keyValueHeads(), s.headDim()};
        q = Tensor.copyOf(arena, type, inputs.q(), queries);
        k = Tensor.copyOf(arena, type, inputs.k(), keys);
        v = Tensor.copyOf(arena, type, inputs.v(), keys);
        gate = inputs.workload().gating() != Gating.NONE
                ? Tensor.copyOf(
                        arena, type, inputs.gateScores(), s.batch(), s.queryLength(), s.queryHeads(), inputs.gateDim())
                : null;
        out = Tensor.allocate(arena, type, queries);
    }

    static DataType type(Inputs inputs) {
        return DataType.valueOf(inputs.precision().name());
    }

    static GatedAttention attention(Inputs inputs, int threads) {
        AttentionShape s = inputs.workload().shape();
        return GatedAttention.builder()
                .queryHeads(s.queryHeads())
                .keyValueHeads(s.keyValueHeads())
                .headDim(s.headDim())
                .dataType(type(inputs))
                .gate(gate(inputs.workload().gating()))
                .mask(Mask.causal())
                .backend(Backend.cpu())
                .threads(threads)
                .build();
    }

    private static Gate gate(Gating gating) {
        return switch (gating) {
            case NONE -> Gate.none();
            case HEADWISE -> Gate.headwise(Activation.SIGMOID);
            case ELEMENTWISE -> Gate.elementwise(Activation.SIGMOID);
        };
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
