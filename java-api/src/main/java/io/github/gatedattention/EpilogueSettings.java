package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/**
 * What an {@link AttentionEpilogue} was built with; every value is checked.
 *
 * @param gate null: none
 */
record EpilogueSettings(
        int width,
        DataType dataType,
        @Nullable Activation gate,
        int threads,
        @Nullable InstructionSet maxInstructionSet) {}
