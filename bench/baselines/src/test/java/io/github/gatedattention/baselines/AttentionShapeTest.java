package io.github.gatedattention.baselines;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class AttentionShapeTest {
    @Test
    void countsVisiblePairs() {
        assertThat(shape(4, 4, true).visiblePairs()).isEqualTo(2 * (1 + 2 + 3 + 4));
        assertThat(shape(2, 4, true).visiblePairs()).isEqualTo(2 * (3 + 4));
        assertThat(shape(4, 2, true).visiblePairs()).isEqualTo(2 * (0 + 0 + 1 + 2));
        assertThat(shape(4, 2, false).visiblePairs()).isEqualTo(2 * 8);
        assertThat(shape(4, 2, false).flop()).isEqualTo(4 * 16 * 2 * 8);
    }

    @Test
    void refusesHeadsThatDoNotGroup() {
        assertThatThrownBy(() -> new AttentionShape(1, 3, 2, 1, 1, 16, true, Layout.HEAD_MAJOR))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("queryHeads is 3, which is not a multiple of keyValueHeads, 2");
    }

    @Test
    void refusesWhatDoesNotFitInAnArray() {
        assertThatThrownBy(() -> new AttentionShape(1, 16, 16, 1, 1 << 20, 128, true, Layout.HEAD_MAJOR))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("k would hold 2147483648 elements; an array holds at most 2^31 - 9");
    }

    private static AttentionShape shape(int queries, int keys, boolean causal) {
        return new AttentionShape(1, 2, 1, queries, keys, 16, causal, Layout.SEQUENCE_MAJOR);
    }
}
