package io.github.gatedattention.bench.peers;

import io.github.gatedattention.baselines.AttentionShape;
import java.util.Arrays;

/** The mask of implementations that have no causal attention and must add one. */
public final class CausalMask {
    private CausalMask() {}

    /**
     * {@return what is added to the scores, [Sq, Sk]: 0 where a query sees a key, else -infinity}
     *
     * @param shape the shape
     */
    public static float[] of(AttentionShape shape) {
        float[] mask = new float[Math.multiplyExact(shape.queryLength(), shape.keyLength())];
        for (int i = 0; i < shape.queryLength(); i++) {
            int row = i * shape.keyLength();
            Arrays.fill(mask, row + shape.visibleKeys(i), row + shape.keyLength(), Float.NEGATIVE_INFINITY);
        }
        return mask;
    }
}
