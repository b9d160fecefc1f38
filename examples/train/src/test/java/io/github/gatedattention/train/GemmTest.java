package io.github.gatedattention.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

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
            float[] before = dx.toFloatArray();

            Gemm.forward(x, w, y, false);
            Gemm.inputGradient(dy, w, dx, true);
            Gemm.weightGradient(dy, x, dw);

            for (int t = 0; t < tokens; t++) {
                for (int o = 0; o < out; o++) {
                    double sum = 0;
                    for (int i = 0; i < in; i++) {
                        sum += (double) x.getFloat(t, i) * w.getFloat(o, i);
                    }
                    assertThat((double) y.getFloat(t, o)).isCloseTo(sum, within(1e-4));
                }
                for (int i = 0; i < in; i++) {
                    double sum = before[t * in + i];
                    for (int o = 0; o < out; o++) {
                        sum += (double) dy.getFloat(t, o) * w.getFloat(o, i);
                    }
                    assertThat((double) dx.getFloat(t, i)).isCloseTo(sum, within(1e-4));
                }
            }
            for (int o = 0; o < out; o++) {
                for (int i = 0; i < in; i++) {
                    double sum = 0;
                    for (int t = 0; t < tokens; t++) {
                        sum += (double) dy.getFloat(t, o) * x.getFloat(t, i);
                    }
                    assertThat((double) dw.getFloat(o, i)).isCloseTo(sum, within(1e-4));
                }
            }
        }
    }

    private static Tensor random(Arena arena, long seed, int rows, int columns) {
        var random = new SplittableRandom(seed);
        Tensor tensor = Tensor.allocate(arena, DataType.F32, rows, columns);
        for (int r = 0; r < rows; r++) {
            for (int c = 0; c < columns; c++) {
                tensor.setFloat((float) random.nextGaussian(), r, c);
            }
        }
        return tensor;
    }
}
