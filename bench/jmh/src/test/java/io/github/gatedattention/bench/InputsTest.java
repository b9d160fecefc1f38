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
        float[] values = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}; // [3][2][2], or [2][3][1][2]
        assertThat(Inputs.exchangeAxes(values, 1, 3, 2, 2)).containsExactly(1, 2, 5, 6, 9, 10, 3, 4, 7, 8, 11, 12);
        assertThat(Inputs.exchangeAxes(Inputs.exchangeAxes(values, 1, 3, 2, 2), 1, 2, 3, 2))
                .containsExactly(values);
        assertThat(Inputs.exchangeAxes(values, 2, 3, 1, 2)).containsExactly(values);
        assertThat(Inputs.exchangeAxes(values, 2, 3, 2, 1)).containsExactly(1, 3, 5, 2, 4, 6, 7, 9, 11, 8, 10, 12);
    }

    @Test
    void aScorePerHeadIsRepeatedAndNoGateIsOneOfFactorOne() {
        Inputs headwise = Inputs.of(Workload.DECODE_4096_HEADWISE, Precision.F32);
        assertThat(headwise.gateDim()).isEqualTo(1);
        assertThat(headwise.gateScores()).hasSize(16);
        for (int i = 0; i < headwise.gate().length; i++) {
            assertThat(headwise.gate()[i]).isEqualTo(headwise.gateScores()[i / 128]);
        }
        for (float score :
                Inputs.of(Workload.DECODE_4096_UNGATED, Precision.F32).gate()) {
            assertThat(1 / (1 + Math.exp(-score))).isEqualTo(1);
        }
    }

    @Test
    void countsTheBytesOfEachGateOnce() {
        long ungated = Workload.DECODE_4096_UNGATED.bytes(Precision.F32);
        assertThat(Workload.DECODE_4096_HEADWISE.bytes(Precision.F32)).isEqualTo(ungated + 16 * 4);
        assertThat(Workload.DECODE_4096.bytes(Precision.F32)).isEqualTo(ungated + 16 * 128 * 4);
    }
}
