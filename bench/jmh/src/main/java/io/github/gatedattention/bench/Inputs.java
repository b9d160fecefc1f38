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
 * @param gate the gate's scores [B, Sq, Hq, D]; a score per head is repeated D times, and no gate is one of infinite
 *     scores, whose sigmoid is 1
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
        float[] q = normal(random, queries, precision);
        float[] k = normal(random, keys, precision);
        float[] v = normal(random, keys, precision);
        int dim = workload.shape().headDim();
        float[] gate = switch (workload.gating()) {
            case NONE -> infinite(queries);
            case HEADWISE -> repeated(normal(random, queries / dim, precision), dim);
            case ELEMENTWISE -> normal(random, queries, precision);
        };
        return new Inputs(workload, precision, q, k, v, gate);
    }

    private static float[] infinite(int count) {
        float[] values = new float[count];
        Arrays.fill(values, Float.POSITIVE_INFINITY);
        return values;
    }

    private static float[] repeated(float[] values, int times) {
        float[] rows = new float[values.length * times];
        for (int i = 0; i < rows.length; i++) {
            rows[i] = values[i / times];
        }
        return rows;
    }

    /** {@return the extent of the last axis of {@link #gateScores}: D, or 1 for a score per head} */
    public int gateDim() {
        return workload.gating() == Gating.HEADWISE ? 1 : workload.shape().headDim();
    }

    /** {@return the gate's scores without repetition, [B, Sq, Hq, {@link #gateDim}]} */
    public float[] gateScores() {
        if (workload.gating() != Gating.HEADWISE) {
            return gate;
        }
        int dim = workload.shape().headDim();
        float[] scores = new float[gate.length / dim];
        for (int i = 0; i < scores.length; i++) {
            scores[i] = gate[i * dim];
        }
        return scores;
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
     * {@return a copy with the axes sequence and head exchanged: [batch][rows][columns][D] becomes
     * [batch][columns][rows][D]}
     *
     * @param values the elements
     * @param batch the extent of the axis that stays first
     * @param rows the extent of the second axis
     * @param columns the extent of the third axis
     * @param dim D
     */
    public static float[] exchangeAxes(float[] values, int batch, int rows, int columns, int dim) {
        float[] exchanged = new float[values.length];
        for (int b = 0; b < batch; b++) {
            int first = b * rows * columns;
            for (int r = 0; r < rows; r++) {
                for (int c = 0; c < columns; c++) {
                    int from = (first + r * columns + c) * dim;
                    System.arraycopy(values, from, exchanged, (first + c * rows + r) * dim, dim);
                }
            }
        }
        return exchanged;
    }
}
