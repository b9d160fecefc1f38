package io.github.gatedattention.bench;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class InputsTest {
    @Test
    void bf16RoundsToTheNearestAndTiesToEven() {
        float step = 0x1p-7f; // of bf16 between 1 and 2
        assertThat(Precision.BF16.round(1)).isEqualTo(1);
        assertThat(Precision.BF16.round(1 + step * 0.49f)).isEqualTo(1);
        assertThat(Precision.BF16.round(1 + step * 0.51f)).isEqualTo(1 + step);
        assertThat(Precision.BF16.round(1 + step * 0.5f)).isEqualTo(1);
        assertThat(Precision.BF16.round(-1 - step * 1.5f)).isEqualTo(-1 - 2 * step);
        assertThat(Precision.F32.round(0.1f)).isEqualTo(0.1f);
    }

    @Test
    void operandsAreTheSameEveryTimeAndFitTheirPrecision() {
        Inputs inputs = Inputs.of(Workload.DECODE_512, Precision.BF16);
        assertThat(inputs.checksum())
                .isEqualTo(Inputs.of(Workload.DECODE_512, Precision.BF16).checksum());
        assertThat(inputs.checksum())
                .isNotEqualTo(Inputs.of(Workload.DECODE_512, Precision.F32).checksum());
        for (float value : inputs.k()) {
            assertThat(Precision.BF16.round(value)).isEqualTo(value);
        }
    }

    @Test
    void exchangesAxes() {
        float[] values = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}; // [3][2][2]
        assertThat(Inputs.exchangeAxes(values, 3, 2, 2)).containsExactly(1, 2, 5, 6, 9, 10, 3, 4, 7, 8, 11, 12);
        assertThat(Inputs.exchangeAxes(Inputs.exchangeAxes(values, 3, 2, 2), 2, 3, 2))
                .containsExactly(values);
    }
}
