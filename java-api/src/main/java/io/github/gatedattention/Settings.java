package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/**
 * What a {@link GatedAttention} was built with; every value is checked.
 *
 * @param softcap 0: none
 */
record Settings(
        int queryHeads,
        int keyValueHeads,
        int headDim,
        int valueHeadDim,
        DataType dataType,
        Gate gate,
        Mask mask,
        float scale,
        float softcap,
        int threads,
        @Nullable InstructionSet maxInstructionSet) {

    /** Whether scores are {@code softcap * tanh(scale * q . k / softcap)}. */
    boolean isSoftcapped() {
        return softcap > 0;
    }

    /** How many query heads share a key/value head. */
    int group() {
        return queryHeads / keyValueHeads;
    }
}
