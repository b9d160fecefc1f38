package io.github.gatedattention.baselines;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import org.junit.jupiter.api.Test;

class Float64ReferenceTest {
    /** Two keys, two dimensions, worked by hand: weights are those of sigmoid(s0 - s1). */
    @Test
    void agreesWithTwoKeysWorkedByHand() {
        var shape = new AttentionShape(1, 1, 1, 1, 2, 2, false, Layout.SEQUENCE_MAJOR);
        double[] out = Float64Reference.forward(
                shape, new float[] {1, 2}, new float[] {1, 0, 0, 1}, new float[] {10, 20, 30, 40}, new float[] {0, 1});
        double first = 1 / (1 + Math.exp((2 - 1) / Math.sqrt(2)));
        assertThat(out[0]).isCloseTo((10 * first + 30 * (1 - first)) * 0.5, within(1e-13));
        assertThat(out[1]).isCloseTo((20 * first + 40 * (1 - first)) / (1 + Math.exp(-1)), within(1e-13));
    }

    @Test
    void causalIsAlignedToTheBottomRight() {
        // The last of two queries sees all three keys, the first two of them; equal keys weigh equally.
        var shape = new AttentionShape(1, 1, 1, 2, 3, 1, true, Layout.HEAD_MAJOR);
        double[] out = Float64Reference.forward(
                shape, new float[2], new float[3], new float[] {2, 4, 9}, new float[] {100, 100});
        assertThat(out).containsExactly(3, 5);
    }

    @Test
    void groupsOfQueryHeadsShareAKeyHeadInBothLayouts() {
        float[] q = {0, 0, 0, 0};
        float[] v = {1, 2};
        float[] gate = {100, 100, 100, 100};
        for (Layout layout : Layout.values()) {
            var shape = new AttentionShape(1, 4, 2, 1, 1, 1, true, layout);
            assertThat(Float64Reference.forward(shape, q, new float[2], v, gate))
                    .containsExactly(1, 1, 2, 2);
        }
    }

    @Test
    void relativeErrorIsThatOfTheWholeVector() {
        assertThat(Float64Reference.relativeError(new double[] {3, 4}, new float[] {3, 4.5f}))
                .isEqualTo(0.1);
        assertThatThrownBy(() -> Float64Reference.relativeError(new double[2], new float[3]))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("actual holds 3 elements, expected 2");
    }
}
