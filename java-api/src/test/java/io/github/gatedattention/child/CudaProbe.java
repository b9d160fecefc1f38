package io.github.gatedattention.child;

import io.github.gatedattention.Backend;
import io.github.gatedattention.CudaStream;
import io.github.gatedattention.DataType;
import io.github.gatedattention.Gate;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.GatedAttentionException;
import io.github.gatedattention.Tensor;
import java.lang.foreign.Arena;

/** Says why there is no CUDA device, twice, and computes on the CPU. */
public final class CudaProbe {
    private CudaProbe() {}

    public static void main(String[] arguments) {
        System.out.println("reason: " + Backend.cuda(0).unavailableReason());
        System.out.println("again: " + Backend.cuda(1).unavailableReason());
        try {
            CudaStream.ofDefault(Backend.cuda(0));
        } catch (GatedAttentionException e) {
            System.out.println("status: " + e.status());
        }
        try (Arena arena = Arena.ofConfined();
                GatedAttention attention = GatedAttention.builder()
                        .queryHeads(1)
                        .headDim(8)
                        .gate(Gate.none())
                        .build()) {
            Tensor ones = Tensor.copyOf(arena, DataType.F32, new float[] {1, 1, 1, 1, 1, 1, 1, 1}, 1, 1, 1, 8);
            Tensor out = Tensor.allocate(arena, DataType.F32, 1, 1, 1, 8);
            attention.forward(ones, ones, ones, null, out);
            System.out.println("computed " + out.getFloat(0, 0, 0, 7) + " on " + attention.backend());
        }
    }
}
