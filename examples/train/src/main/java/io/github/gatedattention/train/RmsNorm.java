package io.github.gatedattention.train;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.gatedattention.DataType;
import io.github.gatedattention.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;

/** {@code y = x / sqrt(mean(x^2) + eps) * weight} over the hidden states of each token, and its gradients. */
final class RmsNorm {
    static final float EPS = 1e-6f;
    private static final int ROWS = 64;

    private final Parameter weight;
    private final int width;
    private final int tokens;
    private final Tensor out;
    private final MemorySegment inverse; // 1 / root mean square, per token
    private final double[][] partial; // the weight's gradient, per block of tokens

    RmsNorm(Parameters parameters, String name, Arena arena, int batch, int context, int width) {
        this.weight = parameters.ones(name + ".weight", width);
        this.width = width;
        this.tokens = batch * context;
        this.out = Tensor.allocate(arena, DataType.F32, batch, context, width);
        this.inverse = arena.allocate(JAVA_FLOAT, tokens);
        this.partial = new double[Parallel.blocks(tokens, ROWS)][width];
    }

    /** The result of the last forward pass. */
    Tensor out() {
        return out;
    }

    void forward(Tensor in) {
        MemorySegment x = in.segment();
        MemorySegment y = out.segment();
        MemorySegment w = weight.value().segment();
        Parallel.run(tokens, ROWS, (block, from, to) -> {
            for (int t = from; t < to; t++) {
                long row = (long) t * width;
                double squares = 0;
                for (int c = 0; c < width; c++) {
                    double value = x.getAtIndex(JAVA_FLOAT, row + c);
                    squares += value * value;
                }
                float r = (float) (1 / Math.sqrt(squares / width + EPS));
                inverse.setAtIndex(JAVA_FLOAT, t, r);
                for (int c = 0; c < width; c++) {
                    float value = x.getAtIndex(JAVA_FLOAT, row + c) * r * w.getAtIndex(JAVA_FLOAT, c);
                    y.setAtIndex(JAVA_FLOAT, row + c, value);
                }
            }
        });
    }

    /** Adds the gradient of {@code in} to {@code dIn}; {@code in} as the forward pass had it. */
    void backward(Tensor in, Tensor dOut, Tensor dIn) {
        MemorySegment x = in.segment();
        MemorySegment dy = dOut.segment();
        MemorySegment dx = dIn.segment();
        MemorySegment w = weight.value().segment();
        Parallel.run(tokens, ROWS, (block, from, to) -> {
            double[] dw = partial[block];
            Arrays.fill(dw, 0);
            for (int t = from; t < to; t++) {
                long row = (long) t * width;
                float r = inverse.getAtIndex(JAVA_FLOAT, t);
                double dot = 0;
                for (int c = 0; c < width; c++) {
                    double product = (double) dy.getAtIndex(JAVA_FLOAT, row + c) * x.getAtIndex(JAVA_FLOAT, row + c);
                    dw[c] += product * r;
                    dot += product * w.getAtIndex(JAVA_FLOAT, c);
                }
                float along = (float) (dot * r * r / width);
                for (int c = 0; c < width; c++) {
                    float g = dy.getAtIndex(JAVA_FLOAT, row + c) * w.getAtIndex(JAVA_FLOAT, c);
                    float add = r * (g - x.getAtIndex(JAVA_FLOAT, row + c) * along);
                    dx.setAtIndex(JAVA_FLOAT, row + c, dx.getAtIndex(JAVA_FLOAT, row + c) + add);
                }
            }
        });
        for (int c = 0; c < width; c++) {
            double sum = 0;
            for (double[] block : partial) {
                sum += block[c];
            }
            weight.gradient().segment().setAtIndex(JAVA_FLOAT, c, (float) sum);
        }
    }
}
