package io.github.gatedattention.examples;

import io.github.gatedattention.Backend;
import io.github.gatedattention.CudaMemory;
import io.github.gatedattention.CudaStream;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Mask;
import io.github.gatedattention.Tensor;
import java.lang.foreign.Arena;

/** The snippet on GPUs. */
public final class CudaExample {
    private CudaExample() {}

    /** Attention on a GPU: what came out. */
    public static float[] run() {
        // @start region="cuda"
        Backend gpu = Backend.cuda(0);
        if (!gpu.isAvailable()) {
            throw new IllegalStateException(gpu.unavailableReason()); // no driver, no device, no JAR
        }
        try (Arena host = Arena.ofShared();
                CudaMemory memory = CudaMemory.open(gpu);
                CudaStream stream = CudaStream.open(gpu);
                GatedAttention attention = GatedAttention.builder().queryHeads(2).headDim(8).mask(Mask.causal()).stream(
                                stream)
                        .build()) {
            Tensor input = memory.allocatePinned(DataType.F32, 1, 4, 2, 8);
            input.setFloat(1, 0, 3, 1, 7);
            Tensor q = memory.allocate(DataType.F32, 1, 4, 2, 8); // on the device, zeroed
            Tensor out = memory.allocate(DataType.F32, 1, 4, 2, 8);
            stream.copy(input, q);
            attention.forward(q, q, q, q, out); // enqueued
            Tensor result = Tensor.allocate(host, DataType.F32, 1, 4, 2, 8);
            stream.copy(out, result); // not pinned, so this waits
            return result.toFloatArray();
        }
        // @end
    }
}
