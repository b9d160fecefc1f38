package io.github.gatedattention.cli.demo;

import io.github.gatedattention.Activation;
import io.github.gatedattention.Backend;
import io.github.gatedattention.DataType;
import io.github.gatedattention.Gate;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Mask;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Plan;
import io.github.gatedattention.PreparedForward;
import io.github.gatedattention.Tensor;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Random;
import java.util.stream.LongStream;

/**
 * An attention layer of Qwen3-Next with a cache: a prompt of 1,024 tokens, then 64 tokens one by one.
 *
 * <p>Query and gate are consumed where the projection wrote them: {@code [B, S, Hq, 2 D]}, in each head D query elements and then D
 * gate elements. Splitting the last axis gives two strided views of that buffer; nothing is copied.
 */
final class Layer implements AutoCloseable {
    static final int QUERY_HEADS = 16;
    static final int KEY_VALUE_HEADS = 2;
    static final int DIM = 256;
    static final int PROMPT = 1024;
    static final int STEPS = 64;

    private static final DataType TYPE = DataType.BF16;
    private static final int CAPACITY = PROMPT + STEPS;
    private static final long SEED = 1;

    private final Arena arena = Arena.ofShared();
    private final GatedAttention attention;
    private final Tensor keyLengths;

    /** Query and gate of the prompt, and of the later tokens. */
    private final List<Tensor> prompt;

    private final List<Tensor> tokens;

    private final Tensor newKeys;
    private final Tensor newValues;
    private final Tensor keyCache;
    private final Tensor valueCache;
    private final Tensor promptOut;
    private final Tensor tokenOut;
    private final PreparedForward prefill;
    private final List<PreparedForward> decode;

    Layer(Backend backend, int threads) {
        var random = new Random(SEED);
        Tensor packedPrompt = gaussian(random, 1, PROMPT, QUERY_HEADS, 2 * DIM);
        Tensor packedTokens = gaussian(random, 1, STEPS, QUERY_HEADS, 2 * DIM);
        prompt = packedPrompt.split(3, DIM, DIM);
        tokens = packedTokens.split(3, DIM, DIM);
        newKeys = gaussian(random, 1, CAPACITY, KEY_VALUE_HEADS, DIM);
        newValues = gaussian(random, 1, CAPACITY, KEY_VALUE_HEADS, DIM);
        keyCache = Tensor.allocate(arena, TYPE, 1, CAPACITY, KEY_VALUE_HEADS, DIM);
        valueCache = Tensor.allocate(arena, TYPE, 1, CAPACITY, KEY_VALUE_HEADS, DIM);
        keyLengths = Tensor.allocate(arena, DataType.I32, 1);
        promptOut = Tensor.allocate(arena, TYPE, 1, PROMPT, QUERY_HEADS, DIM);
        tokenOut = Tensor.allocate(arena, TYPE, 1, 1, QUERY_HEADS, DIM);
        attention = GatedAttention.builder()
                .queryHeads(QUERY_HEADS)
                .keyValueHeads(KEY_VALUE_HEADS)
                .headDim(DIM)
                .dataType(TYPE)
                .gate(Gate.elementwise(Activation.SIGMOID))
                .mask(Mask.causal())
                .backend(backend)
                .threads(threads)
                .build();
        append(0, PROMPT);
        prefill = attention.prepare(promptOperands());
        decode = LongStream.range(0, STEPS)
                .mapToObj(step -> attention.prepare(tokenOperands(step)))
                .toList();
    }

    private Tensor gaussian(Random random, long... shape) {
        float[] values = new float[(int) (shape[0] * shape[1] * shape[2] * shape[3])];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return Tensor.copyOf(arena, TYPE, values, shape);
    }

    private Operands promptOperands() {
        return Operands.of(
                prompt.get(0), keyCache.slice(1, 0, PROMPT), valueCache.slice(1, 0, PROMPT), prompt.get(1), promptOut);
    }

    private Operands tokenOperands(long step) {
        Tensor query = tokens.get(0).slice(1, step, step + 1);
        Tensor gate = tokens.get(1).slice(1, step, step + 1);
        return Operands.of(query, keyCache, valueCache, gate, tokenOut).withKeyLengths(keyLengths);
    }

    /** What a prefill does. */
    Plan prefillPlan() {
        return attention.explain(promptOperands());
    }

    /** What a decode step does. */
    Plan decodePlan() {
        keyLengths.setInt(CAPACITY, 0);
        return attention.explain(tokenOperands(STEPS - 1));
    }

    /** Attention of the prompt. */
    void prefill() {
        prefill.run();
    }

    /** The 64 later tokens: each one's key and value join the cache, then its query looks at all of it. */
    void decode() {
        for (int step = 0; step < STEPS; step++) {
            int position = PROMPT + step;
            append(position, position + 1);
            keyLengths.setInt(position + 1, 0);
            decode.get(step).run();
        }
    }

    private void append(long from, long to) {
        keyCache.slice(1, from, to).copyFrom(newKeys.slice(1, from, to));
        valueCache.slice(1, from, to).copyFrom(newValues.slice(1, from, to));
    }

    /** The prompt's operands for other implementations. */
    Problem prefillProblem() {
        return Problem.of(prompt.get(0), keyCache.slice(1, 0, PROMPT), valueCache.slice(1, 0, PROMPT), prompt.get(1));
    }

    /** The last token's operands, with {@code keys} keys. */
    Problem decodeProblem(int keys) {
        return Problem.of(
                tokens.get(0).slice(1, STEPS - 1, STEPS),
                keyCache.slice(1, 0, keys),
                valueCache.slice(1, 0, keys),
                tokens.get(1).slice(1, STEPS - 1, STEPS));
    }

    /** The result of {@link #prefill}. */
    float[] prefillOut() {
        return promptOut.toFloatArray();
    }

    /** The result of the last step of {@link #decode}. */
    float[] decodeOut() {
        return tokenOut.toFloatArray();
    }

    @Override
    public void close() {
        attention.close();
        arena.close();
    }
}
