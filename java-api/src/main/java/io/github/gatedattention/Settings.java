package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/**
 * What a {@link GatedAttention} was built with; every value is checked.
 *
 * @param softcap 0: none
 * @param device a CUDA device's number, or {@link Place#HOST}
 * @param stream of a device, where its calls are enqueued; null: the default one
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
        @Nullable InstructionSet maxInstructionSet,
        int device,
        @Nullable CudaStream stream) {

    /** Whether scores are {@code softcap * tanh(scale * q . k / softcap)}. */
    boolean isSoftcapped() {
        return softcap > 0;
    }

    boolean isOnDevice() {
        return Place.isDevice(device);
    }

    /** The stream's address for native calls. */
    long streamAddress() {
        return stream == null ? 0 : stream.address();
    }

    /** How many query heads share a key/value head. */
    int group() {
        return queryHeads / keyValueHeads;
    }
}
