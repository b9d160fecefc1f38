package io.github.gatedattention.examples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.gatedattention.Activation;
import io.github.gatedattention.AttentionEpilogue;
import io.github.gatedattention.AttentionMap;
import io.github.gatedattention.AttentionProbe;
import io.github.gatedattention.AttentionPrologue;
import io.github.gatedattention.AttentionStatistics;
import io.github.gatedattention.Backend;
import io.github.gatedattention.BackwardOperands;
import io.github.gatedattention.DataType;
import io.github.gatedattention.Gate;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.KvCache;
import io.github.gatedattention.KvCacheBatch;
import io.github.gatedattention.Mask;
import io.github.gatedattention.MergeOperands;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Plan;
import io.github.gatedattention.PreparedForward;
import io.github.gatedattention.ProjectedHeads;
import io.github.gatedattention.PrologueOperands;
import io.github.gatedattention.Rope;
import io.github.gatedattention.Sequences;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.ValueProbe;
import io.github.gatedattention.ValueStatistics;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.List;
import java.util.Random;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.junit.jupiter.api.Test;

/** The examples of the Javadoc and of the guide, run. */
class ExamplesTest {

    @Test
    void prefill() {
        // @start region="prefill"
        // A layer of Qwen3-Next: 16 query heads share 2 key/value heads of 256.
        try (Arena arena = Arena.ofShared();
                GatedAttention attention = GatedAttention.builder()
                        .queryHeads(16)
                        .keyValueHeads(2)
                        .headDim(256)
                        .dataType(DataType.BF16)
                        .gate(Gate.elementwise(Activation.SIGMOID))
                        .mask(Mask.causal())
                        .build()) {
            // One projection made q and gate, side by side in each head: both are used where they lie.
            Tensor packed = Tensor.allocate(arena, DataType.BF16, 1, 128, 16, 512);
            List<Tensor> parts = packed.split(3, 256, 256);
            Tensor k = Tensor.allocate(arena, DataType.BF16, 1, 128, 2, 256);
            Tensor v = Tensor.allocate(arena, DataType.BF16, 1, 128, 2, 256);
            Tensor out = Tensor.allocate(arena, DataType.BF16, 1, 128, 16, 256);

            attention.forward(parts.get(0), k, v, parts.get(1), out);

            Plan plan = attention.explain(parts.get(0), k);
            System.getLogger("example").log(System.Logger.Level.DEBUG, plan);
        }
        // @end
    }

    @Test
    void training() {
        // @start region="backward"
        try (Arena arena = Arena.ofShared();
                GatedAttention attention = GatedAttention.builder()
                        .queryHeads(4)
                        .keyValueHeads(2)
                        .headDim(64)
                        .gate(Gate.elementwise(Activation.SIGMOID))
                        .mask(Mask.causal())
                        .build()) {
            Tensor q = Tensor.allocate(arena, DataType.F32, 1, 100, 4, 64);
            Tensor k = Tensor.allocate(arena, DataType.F32, 1, 100, 2, 64);
            Tensor v = Tensor.allocate(arena, DataType.F32, 1, 100, 2, 64);
            Tensor gate = Tensor.allocate(arena, DataType.F32, 1, 100, 4, 64);
            Tensor out = Tensor.allocate(arena, DataType.F32, 1, 100, 4, 64);
            Tensor lse = Tensor.allocate(arena, DataType.F32, 1, 4, 100);
            // The backward call reads what the forward call read and wrote: its result, in a tensor of its own, and its
            // log-sum-exp.
            Operands forward = Operands.of(q, k, v, gate, out).withLse(lse);
            attention.forward(forward);

            Tensor dOut = Tensor.allocate(arena, DataType.F32, 1, 100, 4, 64);
            // ... the rest of the model, which writes the gradient of out into dOut ...
            Tensor dQ = Tensor.allocate(arena, DataType.F32, 1, 100, 4, 64);
            Tensor dK = Tensor.allocate(arena, DataType.F32, 1, 100, 2, 64);
            Tensor dV = Tensor.allocate(arena, DataType.F32, 1, 100, 2, 64);
            Tensor dGate = Tensor.allocate(arena, DataType.F32, 1, 100, 4, 64);
            attention.backward(BackwardOperands.of(forward, dOut, dQ, dK, dV, dGate));
        }
        // @end
    }

    @Test
    void measure() {
        try (Arena arena = Arena.ofShared()) {
            Tensor q = random(arena, 1, 128, 4, 64);
            Tensor k = random(arena, 1, 128, 2, 64);
            Tensor v = random(arena, 1, 128, 2, 64);
            Tensor gate = random(arena, 1, 128, 4, 64);
            Tensor out = Tensor.allocate(arena, DataType.F32, 1, 128, 4, 64);
            // @start region="measure"
            try (GatedAttention attention = GatedAttention.builder()
                    .queryHeads(4)
                    .keyValueHeads(2)
                    .headDim(64)
                    .gate(Gate.elementwise(Activation.SIGMOID))
                    .mask(Mask.causal())
                    .build()) {
                Tensor lse = Tensor.allocate(arena, DataType.F32, 1, 4, 128);
                Operands operands = Operands.of(q, k, v, gate, out).withLse(lse);
                attention.forward(operands);

                AttentionProbe probe = AttentionProbe.firstToken()
                        .withRange(0, 4)
                        .withEntropy()
                        .withMap(64);
                AttentionStatistics where = attention.measure(operands, probe);
                double sink = where.firstToken(); // F-Attn: the mean over queries and heads
                AttentionMap map =
                        where.sequences().getFirst().heads().getFirst().map();

                ValueStatistics gates = attention.measure(gate, ValueProbe.gate(Activation.SIGMOID));
                double closed = gates.all().shareBelow(); // how many gates are below 0.1
                double sparse =
                        attention.measure(out, ValueProbe.values()).all().shareSmall();
                // @end
                assertThat(sink).isBetween(0.0, 1.0);
                assertThat(map.rows()).isEqualTo(64);
                assertThat(closed).isBetween(0.0, 1.0);
                assertThat(sparse).isBetween(0.0, 1.0);
            }
        }
    }

    @Test
    void prologueAndEpilogue() {
        try (Arena arena = Arena.ofShared()) {
            int tokens = 32;
            // @start region="prologue"
            // A layer of Qwen3-Next: [q, gate] in each head of one projection, norms by 1 + weight, RoPE on a quarter
            // of a head.
            try (AttentionPrologue prologue = AttentionPrologue.builder()
                            .queryHeads(16)
                            .keyValueHeads(2)
                            .headDim(256)
                            .dataType(DataType.BF16)
                            .zeroCenteredNorm(1e-6f)
                            .rope(Rope.of(64, 1e7), 4096)
                            .build();
                    KvCache cache = KvCache.paged(64, 16)
                            .keyValueHeads(2)
                            .headDim(256)
                            .dataType(DataType.BF16)
                            .build()) {
                Tensor packed = Tensor.allocate(arena, DataType.BF16, 1, tokens, 16, 512); // the projections' outputs
                Tensor k = Tensor.allocate(arena, DataType.BF16, 1, tokens, 2, 256);
                Tensor v = Tensor.allocate(arena, DataType.BF16, 1, tokens, 2, 256);
                Tensor weight = Tensor.allocate(arena, DataType.F32, 256);
                Tensor q = packed.split(3, 256, 256).getFirst(); // the other part, the attention's gate, stays as it is

                long id = cache.allocate();
                prologue.run(
                        PrologueOperands.of(
                                ProjectedHeads.inPlace(q).withNormWeight(weight),
                                ProjectedHeads.inPlace(k).withNormWeight(weight), // not written: the cache is
                                ProjectedHeads.inPlace(v)),
                        cache,
                        id);
                // @end
                assertThat(cache.length(id)).isEqualTo(tokens);
            }
            Tensor projected = random(arena, 1, tokens, 64);
            Tensor scores = random(arena, 1, tokens, 64);
            Tensor hidden = random(arena, 1, tokens, 64);
            float before = hidden.getFloat(0, 3, 5);
            // @start region="epilogue"
            try (AttentionEpilogue epilogue = AttentionEpilogue.builder()
                    .width(64)
                    .gate(Activation.SIGMOID)
                    .build()) {
                epilogue.run(projected, scores, hidden, hidden); // hidden = projected * sigmoid(scores) + hidden
            }
            // @end
            double gate = 1 / (1 + Math.exp(-scores.getFloat(0, 3, 5)));
            assertThat(hidden.getFloat(0, 3, 5) - before)
                    .isCloseTo((float) (projected.getFloat(0, 3, 5) * gate), within(1e-5f));
        }
    }

    private static Tensor random(Arena arena, long... shape) {
        Tensor tensor = Tensor.allocate(arena, DataType.F32, shape);
        Random random = new Random(7);
        for (long n = 0; n < tensor.segment().byteSize() / Float.BYTES; n++) {
            tensor.segment().setAtIndex(ValueLayout.JAVA_FLOAT, n, (float) random.nextGaussian());
        }
        return tensor;
    }

    @Test
    void decodeOnACache() {
        // @start region="decode"
        try (Arena arena = Arena.ofShared();
                GatedAttention attention = GatedAttention.builder()
                        .queryHeads(4)
                        .keyValueHeads(2)
                        .headDim(64)
                        .gate(Gate.headwise(Activation.SIGMOID))
                        .mask(Mask.causal())
                        .build()) {
            int batch = 2;
            int capacity = 512;
            Tensor keys = Tensor.allocate(arena, DataType.F32, batch, capacity, 2, 64);
            Tensor values = Tensor.allocate(arena, DataType.F32, batch, capacity, 2, 64);
            Tensor lengths = Tensor.copyOf(arena, DataType.I32, new int[] {17, 40}, batch);
            Tensor q = Tensor.allocate(arena, DataType.F32, batch, 1, 4, 64);
            Tensor gate = Tensor.allocate(arena, DataType.F32, batch, 1, 4, 1);
            Tensor out = Tensor.allocate(arena, DataType.F32, batch, 1, 4, 64);

            // The tensors stay the same, so they are checked once; each run reads what they hold by then.
            PreparedForward step =
                    attention.prepare(Operands.of(q, keys, values, gate, out).withKeyLengths(lengths));
            for (int token = 0; token < 3; token++) {
                for (int b = 0; b < batch; b++) {
                    int length = lengths.getInt(b);
                    // ... write q, gate, and this token's key and value at position `length` of the cache ...
                    lengths.setInt(length + 1, b);
                }
                step.run();
            }
        }
        // @end
    }

    @Test
    void mergePartsOfACache() {
        // @start region="merge"
        GatedAttention.Builder builder =
                GatedAttention.builder().queryHeads(4).keyValueHeads(2).headDim(64);
        try (Arena arena = Arena.ofShared();
                GatedAttention part = builder.gate(Gate.none()).build();
                GatedAttention whole =
                        builder.gate(Gate.elementwise(Activation.SIGMOID)).build()) {
            Tensor q = Tensor.allocate(arena, DataType.F32, 1, 1, 4, 64);
            Tensor keys = Tensor.allocate(arena, DataType.F32, 1, 512, 2, 64);
            Tensor values = Tensor.allocate(arena, DataType.F32, 1, 512, 2, 64);
            Tensor outs = Tensor.allocate(arena, DataType.F32, 2, 1, 1, 4, 64);
            Tensor lses = Tensor.allocate(arena, DataType.F32, 2, 1, 4, 1);
            for (int n = 0; n < 2; n++) { // each might have been computed elsewhere
                Tensor k = keys.slice(1, n * 256, (n + 1) * 256);
                Tensor v = values.slice(1, n * 256, (n + 1) * 256);
                part.forward(Operands.of(q, k, v, null, outs.select(0, n)).withLse(lses.select(0, n)));
            }
            Tensor gate = Tensor.allocate(arena, DataType.F32, 1, 1, 4, 64);
            Tensor out = Tensor.allocate(arena, DataType.F32, 1, 1, 4, 64);
            whole.merge(MergeOperands.of(outs, lses, gate, out));
        }
        // @end
    }

    @Test
    void prefillAndDecodeOnAPagedCache() {
        try (Arena arena = Arena.ofShared();
                GatedAttention attention = GatedAttention.builder()
                        .queryHeads(4)
                        .keyValueHeads(2)
                        .headDim(64)
                        .gate(Gate.headwise(Activation.SIGMOID))
                        .mask(Mask.causal())
                        .build()) {
            // @start region="paged"
            // Pages of 16 keys; sequence 0 has 40 keys in pages 3, 0 and 7, sequence 1 has 20 in pages 5 and 1.
            Tensor keys = Tensor.allocate(arena, DataType.F32, 8, 16, 2, 64);
            Tensor values = Tensor.allocate(arena, DataType.F32, 8, 16, 2, 64);
            Tensor pages = Tensor.copyOf(arena, DataType.I32, new int[] {3, 0, 7, 5, 1, -1}, 2, 3);
            Tensor lengths = Tensor.copyOf(arena, DataType.I32, new int[] {40, 20}, 2);
            // The next token of sequence 0, and all 20 tokens of sequence 1.
            Tensor starts = Tensor.copyOf(arena, DataType.I32, new int[] {0, 1, 21}, 3);
            Tensor q = Tensor.allocate(arena, DataType.F32, 1, 21, 4, 64);
            Tensor gate = Tensor.allocate(arena, DataType.F32, 1, 21, 4, 1);
            Tensor out = Tensor.allocate(arena, DataType.F32, 1, 21, 4, 64);
            attention.forward(Operands.of(q, keys, values, gate, out)
                    .withSequences(Sequences.paged(pages, lengths).withPackedQueries(starts)));
            // @end
            assertThat(out.toFloatArray()).containsOnly(0);
            // Queries of 0 see all their keys alike, so the last 8 of 40 show in the mean.
            values.slice(0, 7, 8)
                    .slice(1, 0, 8)
                    .copyFrom(Tensor.copyOf(arena, DataType.F32, new float[] {1}, 1)
                            .reshape(1, 1, 1, 1)
                            .expand(1, 8)
                            .expand(2, 2)
                            .expand(3, 64));
            attention.forward(Operands.of(q, keys, values, gate, out)
                    .withSequences(Sequences.paged(pages, lengths).withPackedQueries(starts)));
            assertThat(out.getFloat(0, 0, 0, 0)).isCloseTo(0.5f * 8 / 40, within(1e-6f));
            assertThat(out.getFloat(0, 1, 0, 0)).isZero();
        }
    }

    @Test
    void decodeManySequences() {
        try (Arena arena = Arena.ofShared();
                GatedAttention attention = GatedAttention.builder()
                        .queryHeads(4)
                        .keyValueHeads(2)
                        .headDim(64)
                        .dataType(DataType.BF16)
                        .gate(Gate.headwise(Activation.SIGMOID))
                        .mask(Mask.causal())
                        .build()) {
            // @start region="cache"
            // 1024 pages of 16 tokens; the cache is closed when the program ends.
            KvCache cache = KvCache.paged(1024, 16)
                    .keyValueHeads(2)
                    .headDim(64)
                    .dataType(DataType.BF16)
                    .build();
            // Two answers to one prompt of 100 tokens: both share its pages.
            Tensor prompt = Tensor.allocate(arena, DataType.BF16, 100, 2, 64);
            long one = cache.allocate();
            cache.append(one, prompt, prompt);
            long[] ids = {one, cache.fork(one)};

            Tensor q = Tensor.allocate(arena, DataType.BF16, 2, 1, 4, 64);
            Tensor k = Tensor.allocate(arena, DataType.BF16, 2, 1, 2, 64);
            Tensor v = Tensor.allocate(arena, DataType.BF16, 2, 1, 2, 64);
            Tensor gate = Tensor.allocate(arena, DataType.BF16, 2, 1, 4, 1);
            Tensor out = Tensor.allocate(arena, DataType.BF16, 2, 1, 4, 64);

            // Room for 2 sequences of up to 512 keys. Its tensors stay the same, so the call is checked once.
            KvCacheBatch batch = cache.batch(2, 512);
            PreparedForward step = attention.prepare(
                    Operands.of(q, cache.keys(), cache.values(), gate, out).withSequences(batch.sequences()));
            for (int token = 0; token < 3; token++) {
                // ... write q, gate, and this token's k and v of each sequence ...
                cache.append(ids, k, v);
                batch.refresh(ids);
                step.run();
            }

            cache.truncate(ids[1], 101); // takes back the second answer's last two tokens
            cache.free(ids[0]); // the second answer still uses the prompt's pages
            // @end
            assertThat(cache.length(ids[1])).isEqualTo(101);
            assertThat(cache.pagesInUse()).isEqualTo(7);
            assertThat(out.toFloatArray()).containsOnly(0);
            cache.close();
        }
    }

    @Test
    void chooseABackend() {
        // @start region="backend"
        Backend backend = Backend.best();
        if (!Backend.cpu().isAvailable()) {
            System.getLogger("example")
                    .log(System.Logger.Level.INFO, Backend.cpu().unavailableReason());
        }
        // @end
        assertThat(backend.isAvailable()).isTrue();
    }

    @Test
    void virtualThreads() throws InterruptedException {
        try (Arena arena = Arena.ofShared()) {
            Tensor x = Tensor.copyOf(arena, DataType.F32, new float[8], 1, 1, 1, 8);
            Tensor out = Tensor.copyOf(arena, DataType.F32, new float[] {1, 1, 1, 1, 1, 1, 1, 1}, 1, 1, 1, 8);
            // @start region="executor"
            // Two calls at a time, each on a platform thread: virtual threads wait without holding a carrier.
            try (ExecutorService kernels = Executors.newFixedThreadPool(2);
                    GatedAttention attention = GatedAttention.builder()
                            .queryHeads(1)
                            .headDim(8)
                            .executor(kernels)
                            .build()) {
                Thread.startVirtualThread(() -> attention.forward(x, x, x, x, out))
                        .join();
            }
            // @end
            assertThat(out.toFloatArray()).containsOnly(0);
        }
    }
}
