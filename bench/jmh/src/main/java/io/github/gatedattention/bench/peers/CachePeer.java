package io.github.gatedattention.bench.peers;

import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.KvCache;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.baselines.AttentionShape;
import io.github.gatedattention.bench.Gating;
import io.github.gatedattention.bench.Inputs;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;

/** This library on a {@link KvCache}, as a serving program calls it. */
final class CachePeer implements Peer {
    static final String PAGED_TUNING = "KvCache.paged, pages of 16 tokens in random order";

    private static final int PAGE_SIZE = 16;
    private static final long SEED = 16;

    private final Arena arena = Arena.ofShared();
    private final GatedAttention attention;
    private final KvCache cache;
    private final Operands operands;

    CachePeer(Inputs inputs, int threads, DataType cacheType, boolean paged) {
        if (inputs.workload().gating() != Gating.ELEMENTWISE) {
            throw new IllegalArgumentException("caches are measured with the element-wise gate only");
        }
        AttentionShape s = inputs.workload().shape();
        DataType type = LibraryPeer.type(inputs);
        attention = LibraryPeer.attention(inputs, threads);
        int pages = s.batch() * Math.ceilDiv(s.keyLength(), PAGE_SIZE);
        KvCache.Builder builder =
                paged ? KvCache.paged(pages, PAGE_SIZE) : KvCache.contiguous(s.batch(), s.keyLength());
        cache = builder.keyValueHeads(s.keyValueHeads())
                .headDim(s.headDim())
                .dataType(cacheType)
                .build();
        if (paged) {
            shuffle(pages, s);
        }
        long[] ids = new long[s.batch()];
        try (Arena brief = Arena.ofConfined()) {
            long[] keys = {s.batch(), s.keyLength(), s.keyValueHeads(), s.headDim()};
            Tensor k = Tensor.copyOf(brief, type, inputs.k(), keys);
            Tensor v = Tensor.copyOf(brief, type, inputs.v(), keys);
            for (int b = 0; b < ids.length; b++) {
                ids[b] = cache.allocate();
            }
            cache.append(ids, k, v);
        }
        long[] queries = {s.batch(), s.queryLength(), s.queryHeads(), s.headDim()};
        Operands plain = Operands.of(
                        Tensor.copyOf(arena, type, inputs.q(), queries),
                        cache.keys(),
                        cache.values(),
                        Tensor.copyOf(arena, type, inputs.gate(), queries),
                        Tensor.allocate(arena, type, queries))
                .withScales(cache.scales());
        operands = paged ? plain.withSequences(cache.sequences(ids)) : plain;
    }

    /** Gives all pages back in random order: so they are taken, as in a program that has run for a while. */
    private void shuffle(int pages, AttentionShape s) {
        try (Arena brief = Arena.ofConfined()) {
            Tensor token = Tensor.allocate(brief, DataType.F32, 1, s.keyValueHeads(), s.headDim());
            List<Long> ids = new ArrayList<>();
            for (int n = 0; n < pages; n++) {
                ids.add(cache.allocate());
                cache.append(ids.getLast(), token, token);
            }
            Collections.shuffle(ids, new Random(SEED));
            ids.forEach(cache::free);
        }
    }

    @Override
    public void forward() {
        attention.forward(operands);
    }

    @Override
    public float[] output() {
        return operands.out().toFloatArray();
    }

    @Override
    public void close() {
        attention.close();
        cache.close();
        arena.close();
    }
}
