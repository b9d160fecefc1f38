package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;

import org.junit.jupiter.api.Test;

class MaskTest {

    /** The rule of the class comment, key by key. */
    private static void assertSees(Mask mask, long seqQ, long length) {
        for (long i = 0; i < seqQ; i++) {
            long diagonal = i + length - seqQ;
            for (long j = 0; j < length; j++) {
                boolean causal = !mask.isCausal() || j <= diagonal;
                boolean left = mask.windowLeft() < 0 || diagonal - j <= mask.windowLeft();
                boolean right = mask.windowRight() < 0 || j - diagonal <= mask.windowRight();
                boolean seen = mask.firstKey(i, seqQ, length) <= j && j < mask.endKey(i, seqQ, length);
                assertThat(seen)
                        .as("%s, query %d of %d, key %d of %d", mask, i, seqQ, j, length)
                        .isEqualTo(causal && left && right);
            }
        }
    }

    @Test
    void everyKeyIsSeenExactlyWhenTheRuleSaysSo() {
        Mask[] masks = {
            Mask.none(),
            Mask.causal(),
            Mask.none().withWindow(2, 1),
            Mask.none().withWindow(-1, 0),
            Mask.none().withWindow(0, -1),
            Mask.causal().withWindow(3, -1),
            Mask.causal().withWindow(0, 5),
            Mask.none().withWindow(Long.MAX_VALUE, Long.MAX_VALUE),
        };
        for (Mask mask : masks) {
            for (long seqQ : new long[] {1, 2, 5, 9}) {
                for (long length : new long[] {0, 1, 4, 9, 13}) {
                    assertSees(mask, seqQ, length);
                }
            }
        }
    }

    @Test
    void aSideBelowMinusOneIsRefused() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Mask.none().withWindow(-2, 0))
                .withMessage("window left is -2, but must be at least 0 keys, or -1 for no limit");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Mask.none().withWindow(0, Long.MIN_VALUE))
                .withMessageContaining("window right");
    }

    @Test
    void masksAreValues() {
        assertThat(Mask.causal().withWindow(4, 0)).isEqualTo(Mask.causal().withWindow(4, 0));
        assertThat(Mask.causal()).isNotEqualTo(Mask.none()).hasToString("causal");
        assertThat(Mask.none().withWindow(4, -1)).hasToString("none window(4, -1)");
    }
}
