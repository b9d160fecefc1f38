package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/**
 * What an {@link AttentionPrologue} was built with; every value is checked.
 *
 * @param norm whether q and k are normalized
 * @param plusOne whether the norms' weights stand for 1 + weight
 * @param gates the activations of q, k and v; null: no gate
 */
record PrologueSettings(
        int queryHeads,
        int keyValueHeads,
        int headDim,
        int valueHeadDim,
        DataType dataType,
        boolean norm,
        float normEps,
        boolean plusOne,
        @Nullable Rope rope,
        @Nullable RopeTable table,
        @Nullable Activation[] gates,
        int threads,
        @Nullable InstructionSet maxInstructionSet) {

    int heads(int part) {
        return part == 0 ? queryHeads : keyValueHeads;
    }

    int dim(int part) {
        return part == 2 ? valueHeadDim : headDim;
    }

    boolean isNormalized(int part) {
        return norm && part < 2;
    }

    boolean isRotated(int part) {
        return rope != null && part < 2;
    }
}
