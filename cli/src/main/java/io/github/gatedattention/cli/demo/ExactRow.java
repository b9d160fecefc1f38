package io.github.gatedattention.cli.demo;

import java.util.Arrays;

/** One output row in float64: causal attention of one query with the elementwise sigmoid gate, and what its error may depend on. */
final class ExactRow {
    private final int keys;
    private final double amplitude;
    private final double[] out;
    private final double[] magnitude;

    /**
     * Computes a row.
     *
     * @param problem the call
     * @param query the query's position
     * @param head the query's head
     */
    ExactRow(Problem problem, int query, int head) {
        int dim = problem.dim();
        int keyHead = head / (problem.queryHeads() / problem.keyValueHeads());
        keys = query + 1 + problem.keys() - problem.queries();
        double scale = 1 / Math.sqrt(dim);
        int q = (query * problem.queryHeads() + head) * dim;
        double[] weights = new double[keys];
        double largestAmplitude = 0;
        for (int j = 0; j < keys; j++) {
            int k = (j * problem.keyValueHeads() + keyHead) * dim;
            double score = 0;
            double absolute = 0;
            for (int e = 0; e < dim; e++) {
                double product = (double) problem.q()[q + e] * problem.k()[k + e];
                score += product;
                absolute += Math.abs(product);
            }
            weights[j] = score * scale;
            largestAmplitude = Math.max(largestAmplitude, absolute * scale);
        }
        amplitude = largestAmplitude;
        softmax(weights);
        out = new double[dim];
        magnitude = new double[dim];
        for (int j = 0; j < keys; j++) {
            int v = (j * problem.keyValueHeads() + keyHead) * dim;
            for (int e = 0; e < dim; e++) {
                out[e] += weights[j] * problem.v()[v + e];
                magnitude[e] += weights[j] * Math.abs(problem.v()[v + e]);
            }
        }
        for (int e = 0; e < dim; e++) {
            double sigmoid = 1 / (1 + Math.exp(-(double) problem.gate()[q + e]));
            out[e] *= sigmoid;
            magnitude[e] *= sigmoid;
        }
    }

    private static void softmax(double[] scores) {
        double max = Arrays.stream(scores).max().orElse(0);
        double sum = 0;
        for (int j = 0; j < scores.length; j++) {
            scores[j] = Math.exp(scores[j] - max);
            sum += scores[j];
        }
        for (int j = 0; j < scores.length; j++) {
            scores[j] /= sum;
        }
    }

    /** Keys that the query sees. */
    int keys() {
        return keys;
    }

    /** The largest sum of absolute products in a score. */
    double amplitude() {
        return amplitude;
    }

    /** The exact output. */
    double out(int element) {
        return out[element];
    }

    /** The sum of absolute terms in the output. */
    double magnitude(int element) {
        return magnitude[element];
    }
}
