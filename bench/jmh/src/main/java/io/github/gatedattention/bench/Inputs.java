package io.github.gatedattention.bench;

import java.util.Arrays;
import java.util.random.RandomGenerator;
import java.util.random.RandomGeneratorFactory;

/**
 * The operands of one workload, the same for every implementation: standard normal, rounded to the precision.
 *
 * @param workload the shape
 * @param precision the type that every value fits in exactly
 * @param q queries [B, Sq, Hq, D]
 * @param k keys [B, Sk, Hkv, D]
 * @param v values [B, Sk, Hkv, D]
 * @param gate the gate's scores [B, Sq, Hq, D]
 */
public record Inputs(Workload workload, Precision precision, float[] q, float[] k, float[] v, float[] gate) {
    private static final long SEED = 2505_06708;

    /**
     * {@return the operands}
     *
     * @param workload the shape
     * @param precision the type to round to
     */
    public static Inputs of(Workload workload, Precision precision) {
        RandomGenerator random = RandomGeneratorFactory.of("L64X128MixRandom")
                .create(SEED + workload.name().hashCode());
        int queries = workload.shape().queryElements();
        int keys = workload.shape().keyElements();
        return new Inputs(
                workload,
                precision,
                normal(random, queries, precision),
                normal(random, keys, precision),
                normal(random, keys, precision),
                normal(random, queries, precision));
    }

    private static float[] normal(RandomGenerator random, int count, Precision precision) {
        float[] values = new float[count];
        for (int i = 0; i < count; i++) {
            values[i] = precision.round((float) random.nextGaussian());
        }
        return values;
    }

    /** {@return a number that changes when the operands do} */
    int checksum() {
        return 31 * (31 * (31 * Arrays.hashCode(q) + Arrays.hashCode(k)) + Arrays.hashCode(v)) + Arrays.hashCode(gate);
    }

    /**
     * {@return a copy with the axes sequence and head exchanged: [rows][columns][D] becomes [columns][rows][D]}
     *
     * @param values elements of one sequence
     * @param rows the extent of the first axis
     * @param columns the extent of the second axis
     * @param dim D
     */
    public static float[] exchangeAxes(float[] values, int rows, int columns, int dim) {
        float[] exchanged = new float[values.length];
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < columns; c++) {
                System.arraycopy(values, (r * columns + c) * dim, exchanged, (c * rows + r) * dim, dim);
            }
        }
        return exchanged;
    }
}
