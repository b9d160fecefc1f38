package io.github.gatedattention.train;

import io.github.gatedattention.DataType;
import io.github.gatedattention.Tensor;
import java.lang.foreign.Arena;

/**
 * Weights that are learned: F32, dense, all four tensors of one shape.
 *
 * @param name as in a checkpoint
 * @param value the weights
 * @param gradient of the last backward pass
 * @param first AdamW's mean of gradients
 * @param second AdamW's mean of their squares
 * @param decays whether weight decay applies: to matrices, not to the weights of norms nor to a gate's own scores
 */
record Parameter(String name, Tensor value, Tensor gradient, Tensor first, Tensor second, boolean decays) {
    /** Zeros. */
    static Parameter zeros(Arena arena, String name, boolean decays, long... shape) {
        return new Parameter(
                name,
                Tensor.allocate(arena, DataType.F32, shape),
                Tensor.allocate(arena, DataType.F32, shape),
                Tensor.allocate(arena, DataType.F32, shape),
                Tensor.allocate(arena, DataType.F32, shape),
                decays);
    }

    /** How many weights there are. */
    int size() {
        return Math.toIntExact(value.segment().byteSize() / Float.BYTES);
    }
}
