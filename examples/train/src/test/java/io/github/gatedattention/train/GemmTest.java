package io.github.gatedattention.train;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.DataType;
import io.github.gatedattention.Tensor;
import java.lang.foreign.Arena;
import java.util.SplittableRandom;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/** The three products beside plain sums in double: sizes of one block, of several, and of none that divides. */
class GemmTest {
    @ParameterizedTest
    @CsvSource({"1, 1, 1", "7, 5, 3", "300, 33, 70", "600, 64, 129"})
    void products(int tokens, int in, int out) {
        try (Arena arena = Arena.ofShared()) {
            Tensor x = random(arena, 1, tokens, in);
            Tensor w = random(arena, 2, out, in);
            Tensor dy = random(arena, 3, tokens, out);
            Tensor y = random(arena, 4, tokens, out);
            Tensor dx = random(arena, 5, tokens, in);
            Tensor dw = random(arena, 6, out, in);
            double[] before = doubles(dx);

            Gemm.forward(x, w, y, false);
            Gemm.inputGradient(dy, w, dx, true);
            Gemm.weightGradient(dy, x, dw);

            double[] zeros = new double[tokens * out];
            near(y, product(doubles(x), in, 1, doubles(w), 1, in, zeros, out, in)); // Wᵀ: along rows of W
            near(dx, product(doubles(dy), out, 1, doubles(w), in, 1, before, in, out));
            near(dw, product(doubles(dy), 1, out, doubles(x), in, 1, new double[out * in], in, tokens));
        }
    }

    /** {@code c + a b}, where a steps by {@code aRow} and {@code aInner}, b by {@code bInner} and {@code bColumn}. */
    private static double[] product(
            double[] a, int aRow, int aInner, double[] b, int bInner, int bColumn, double[] c, int columns, int inner) {
        double[] sum = c.clone();
        for (int r = 0; r < c.length / columns; r++) {
            for (int i = 0; i < inner; i++) {
                for (int n = 0; n < columns; n++) {
                    sum[r * columns + n] += a[r * aRow + i * aInner] * b[i * bInner + n * bColumn];
                }
            }
        }
        return sum;
    }

    private static void near(Tensor actual, double[] expected) {
        double[] values = doubles(actual);
        double most = 0;
        for (int i = 0; i < values.length; i++) {
            double distance = Math.abs(values[i] - expected[i]);
            most = Math.max(most, distance); // a NaN stays
        }
        assertThat(values).hasSameSizeAs(expected);
        assertThat(most).isLessThan(1e-4);
    }

    private static double[] doubles(Tensor tensor) {
        float[] floats = tensor.toFloatArray();
        double[] doubles = new double[floats.length];
        for (int i = 0; i < floats.length; i++) {
            doubles[i] = floats[i];
        }
        return doubles;
    }

    private static Tensor random(Arena arena, long seed, int rows, int columns) {
        var random = new SplittableRandom(seed);
        float[] values = new float[rows * columns];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return Tensor.copyOf(arena, DataType.F32, values, rows, columns);
    }
}
