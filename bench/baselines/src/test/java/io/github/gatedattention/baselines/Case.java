package io.github.gatedattention.baselines;

import java.util.Arrays;
import java.util.Random;
import java.util.function.BiFunction;

/** Random operands of one shape, and what a way to compute makes of them. */
record Case(AttentionShape shape, float[] q, float[] k, float[] v, float[] gate) {
    static Case random(AttentionShape shape, long seed) {
        Random random = new Random(seed);
        return new Case(
                shape,
                gaussian(random, shape.queryElements(), 1),
                gaussian(random, shape.keyElements(), 1),
                gaussian(random, shape.keyElements(), 1),
                gaussian(random, shape.queryElements(), 2));
    }

    private static float[] gaussian(Random random, int count, double deviation) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = (float) (deviation * random.nextGaussian());
        }
        return values;
    }

    /** The result for the given threads; every element was NaN before. */
    float[] run(BiFunction<AttentionShape, Integer, FloatAttention> way, int threads) {
        float[] out = new float[shape.queryElements()];
        Arrays.fill(out, Float.NaN);
        try (FloatAttention attention = way.apply(shape, threads)) {
            attention.forward(q, k, v, gate, out);
        }
        return out;
    }

    double[] reference() {
        return Float64Reference.forward(shape, q, k, v, gate);
    }
}
