package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** What a {@link GatedAttention} was built with; every value is checked. */
record Settings(
        int queryHeads,
        int keyValueHeads,
        int headDim,
        int valueHeadDim,
        DataType dataType,
        Gate gate,
        Mask mask,
        float scale,
        int threads,
        @Nullable InstructionSet maxInstructionSet) {

    /** How many query heads share a key/value head. */
    int group() {
        return queryHeads / keyValueHeads;
    }
}
