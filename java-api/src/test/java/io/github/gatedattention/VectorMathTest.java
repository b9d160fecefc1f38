package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Arrays;
import java.util.Random;
import org.junit.jupiter.api.Test;

class VectorMathTest {
    private static final int COUNT = 1 << 16;
    private static final float EPS = 0x1p-23f;

    private static float[] filled(float value) {
        float[] x = new float[VectorMath.LANES];
        Arrays.fill(x, value);
        return x;
    }

    @Test
    void sigmoidIsAccurateOnBothSides() {
        Random random = new Random(5);
        float[] x = new float[COUNT];
        for (int i = 0; i < COUNT; i++) {
            x[i] = (float) (random.nextGaussian() * (i % 2 == 0 ? 3 : 40));
        }
        float[] y = new float[COUNT];
        VectorMath.sigmoid(x, COUNT, y);
        for (int i = 0; i < COUNT; i++) {
            double expected = 1 / (1 + Math.exp(-(double) x[i]));
            assertThat(Math.abs(y[i] - expected))
                    .as("sigmoid of %s is %s", x[i], y[i])
                    .isLessThanOrEqualTo(3 * EPS * expected + 0x1p-126);
        }
    }

    @Test
    void sigmoidAtTheEnds() {
        float[][] cases = {
            {0, 0.5f},
            {-0f, 0.5f},
            {Float.POSITIVE_INFINITY, 1},
            {Float.NEGATIVE_INFINITY, 0},
            {Float.MAX_VALUE, 1},
            {-Float.MAX_VALUE, 0},
            {Float.MIN_VALUE, 0.5f},
            {-104, 0},
            {Float.NaN, Float.NaN},
            {Float.intBitsToFloat(0x7FEDBEEF), Float.NaN},
            {Float.intBitsToFloat(0xFFC12345), Float.NaN},
        };
        for (float[] c : cases) {
            float[] x = filled(c[0]);
            VectorMath.sigmoid(x, x.length, x);
            for (float value : x) {
                assertThat(value).as("sigmoid of %s", c[0]).isEqualTo(Float.valueOf(c[1]));
            }
        }
    }

    @Test
    void softcapIsAccurateOnBothSides() {
        Random random = new Random(8);
        float[] x = new float[COUNT];
        for (int i = 0; i < COUNT; i++) {
            x[i] = (float) (random.nextGaussian() * new double[] {1e-30, 1e-3, 0.5, 1, 10}[i % 5]);
        }
        float[] y = x.clone();
        VectorMath.softcap(y, 0, COUNT, 50);
        for (int i = 0; i < COUNT; i++) {
            double expected = 50 * Math.tanh(x[i]);
            assertThat(Math.abs(y[i] - expected))
                    .as("50 tanh(%s) is %s", x[i], y[i])
                    .isLessThanOrEqualTo(2 * EPS * Math.abs(expected));
        }
    }

    @Test
    void softcapAtTheEnds() {
        float[][] cases = {
            {0, 0},
            {-0f, 0},
            {40, 8},
            {Float.POSITIVE_INFINITY, 8},
            {Float.NEGATIVE_INFINITY, -8},
            {Float.MAX_VALUE, 8},
            {-Float.MAX_VALUE, -8},
            {Float.MIN_VALUE, 8 * Float.MIN_VALUE},
            {Float.NaN, Float.NaN},
            {Float.intBitsToFloat(0xFFC12345), Float.NaN},
        };
        for (float[] c : cases) {
            float[] x = filled(c[0]);
            VectorMath.softcap(x, 0, x.length, 8);
            for (float value : x) {
                assertThat(value).as("8 tanh(%s)", c[0]).isEqualTo(Float.valueOf(c[1]));
            }
        }
    }

    @Test
    void exponentialsAndTheirSums() {
        Random random = new Random(6);
        float[] x = new float[COUNT];
        for (int i = 0; i < COUNT; i++) {
            x[i] = -random.nextFloat() * (i % 2 == 0 ? 4 : 140) + 7;
        }
        float[] y = new float[3 + COUNT];
        float[] sums = new float[VectorMath.LANES];
        VectorMath.exponentials(x, y, 3, COUNT, sums, 0);
        double sum = 0;
        for (int i = 0; i < COUNT; i++) {
            double expected = Math.pow(2, x[i]);
            assertThat(Math.abs(y[3 + i] - expected))
                    .as("2^%s is %s", x[i], y[3 + i])
                    .isLessThanOrEqualTo(2 * EPS * expected + 0x1p-126);
            sum += expected;
        }
        assertThat(VectorMath.sumOfLanes(sums, 0) / sum).isBetween(1 - 1e-5, 1 + 1e-5);
    }

    @Test
    void exponentialsAtTheEnds() {
        float[][] cases = {
            {0, 1},
            {8, 256},
            {-1e30f, 0},
            {Float.NEGATIVE_INFINITY, 0},
            {Float.NaN, Float.NaN},
            {Float.intBitsToFloat(0x7FEDBEEF), Float.NaN},
        };
        for (float[] c : cases) {
            float[] x = filled(c[0]);
            VectorMath.exponentials(x, x, 0, x.length, new float[VectorMath.LANES], 0);
            for (float value : x) {
                assertThat(value).as("2^%s", c[0]).isEqualTo(Float.valueOf(c[1]));
            }
        }
    }

    @Test
    void questionsAboutAllElements() {
        float[] x = new float[4 * VectorMath.LANES];
        assertThat(VectorMath.allAtMost(x, 0, x.length, 0)).isTrue();
        assertThat(VectorMath.hasUnusual(x, 0, x.length)).isFalse();
        for (float unusual : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
            x[x.length - 1] = unusual;
            assertThat(VectorMath.hasUnusual(x, 0, x.length)).isTrue();
            assertThat(VectorMath.allAtMost(x, 0, x.length, 0)).isEqualTo(unusual < 0);
        }
        x[x.length - 1] = 1;
        assertThat(VectorMath.allAtMost(x, 0, x.length, 0.5f)).isFalse();
        assertThat(VectorMath.largest(x, 0, x.length)).isOne();
        x[0] = Float.NaN;
        assertThat(VectorMath.largest(x, 0, x.length)).isNaN();
    }
}
