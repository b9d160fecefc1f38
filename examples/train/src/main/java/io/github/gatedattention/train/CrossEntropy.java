package io.github.gatedattention.train;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.gatedattention.Tensor;
import java.lang.foreign.MemorySegment;

/** The mean of {@code -ln softmax(logits)[target]} over all tokens, in nats. */
final class CrossEntropy {
    private static final int ROWS = 64;

    private CrossEntropy() {}

    /** Returns the loss and puts the gradient of the logits {@code [T, V]} in their place. */
    static double lossAndGradient(Tensor logits, int[] targets) {
        MemorySegment values = logits.segment();
        int vocabulary = Math.toIntExact(logits.dim(logits.rank() - 1));
        int tokens = targets.length;
        double[] partial = new double[Parallel.blocks(tokens, ROWS)];
        Parallel.run(tokens, ROWS, (block, from, to) -> {
            double[] exponentials = new double[vocabulary];
            for (int t = from; t < to; t++) {
                long row = (long) t * vocabulary;
                float most = Float.NEGATIVE_INFINITY;
                for (int c = 0; c < vocabulary; c++) {
                    most = Math.max(most, values.getAtIndex(JAVA_FLOAT, row + c));
                }
                double sum = 0;
                for (int c = 0; c < vocabulary; c++) {
                    exponentials[c] = Math.exp(values.getAtIndex(JAVA_FLOAT, row + c) - most);
                    sum += exponentials[c];
                }
                partial[block] += Math.log(sum) + most - values.getAtIndex(JAVA_FLOAT, row + targets[t]);
                for (int c = 0; c < vocabulary; c++) {
                    double right = c == targets[t] ? 1 : 0;
                    values.setAtIndex(JAVA_FLOAT, row + c, (float) ((exponentials[c] / sum - right) / tokens));
                }
            }
        });
        double sum = 0;
        for (double block : partial) {
            sum += block;
        }
        return sum / tokens;
    }
}
