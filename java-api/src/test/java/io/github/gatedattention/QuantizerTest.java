package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.Random;
import org.junit.jupiter.api.Test;

/** What is said of the whole numbers of a cache, beside arithmetic done another way. */
class QuantizerTest {
    private final byte[] numbers = new byte[64];

    private float quantize(float... x) {
        return Quantizer.quantize(x, 0, x.length, numbers, 0);
    }

    @Test
    void aRandomRowIsWithinHalfAScale() {
        Random random = new Random(1);
        for (int row = 0; row < 20_000; row++) {
            int n = 1 + random.nextInt(64);
            float spread = Math.scalb(1f, random.nextInt(-115, 120));
            float[] x = new float[n];
            float most = 0;
            for (int i = 0; i < n; i++) {
                x[i] = (float) random.nextGaussian() * spread;
                most = Math.max(most, Math.abs(x[i]));
            }
            float scale = quantize(x);
            assertThat(scale).isEqualTo(most / 127);
            for (int i = 0; i < n; i++) {
                assertThat((int) numbers[i])
                        .isEqualTo((int) Math.rint(x[i] / scale))
                        .isBetween(-127, 127);
                assertThat(Math.abs(x[i] - numbers[i] * (double) scale)).isLessThanOrEqualTo(scale * (0.5 + 0x1p-16));
            }
        }
    }

    @Test
    void tiesGoToTheEvenNumber() {
        assertThat(quantize(127, 0.5f, 1.5f, 2.5f, -0.5f, -1.5f, -127)).isEqualTo(1);
        assertThat(numbers).startsWith(127, 0, 2, 2, 0, -2, -127);
    }

    @Test
    void zerosHaveScaleZero() {
        numbers[1] = 9;
        assertThat(quantize(0, -0.0f, 0)).isZero();
        assertThat(numbers).startsWith(0, 0, 0);
        // So has what is next to nothing, where a scale would be subnormal.
        assertThat(quantize(Float.MIN_VALUE, 0x1p-120f)).isZero();
        assertThat(numbers).startsWith(0, 0);
        assertThat(quantize(0x1p-119f, 0)).isEqualTo(0x1p-119f / 127);
        assertThat(numbers).startsWith(127, 0);
    }

    @Test
    void theLargestFloatIsStillANumber() {
        float scale = quantize(Float.MAX_VALUE, -Float.MAX_VALUE, 1);
        assertThat(numbers).startsWith(127, -127, 0);
        assertThat(scale).isFinite();
    }

    @Test
    void whatIsNoNumberMakesTheScaleNaN() {
        float negative = Float.intBitsToFloat(0xFFC00001);
        for (float bad : new float[] {Float.NaN, negative, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
            numbers[0] = 5;
            assertThat(quantize(1, bad, 3)).isNaN();
            assertThat(numbers).startsWith(0, 0, 0);
        }
    }
}
