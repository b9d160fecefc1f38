package io.github.gatedattention.child;

import io.github.gatedattention.Backend;
import io.github.gatedattention.DataType;
import io.github.gatedattention.Gate;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.GatedAttentionException;
import io.github.gatedattention.Tensor;
import java.lang.foreign.Arena;

/** Says what becomes of the native backend, then computes with the best one there is. */
public final class NativeAccess {
    private NativeAccess() {}

    public static void main(String[] arguments) {
        System.out.println("reason: " + Backend.cpu().unavailableReason());
        try {
            builder().backend(Backend.cpu()).build().close();
            System.out.println("native attention built");
        } catch (GatedAttentionException e) {
            System.out.println(e.status() + ": " + e.getMessage());
        }
        try (Arena arena = Arena.ofConfined();
                GatedAttention attention = builder().build()) {
            Tensor ones = Tensor.copyOf(arena, DataType.F32, new float[] {1, 1, 1, 1, 1, 1, 1, 1}, 1, 1, 1, 8);
            Tensor out = Tensor.allocate(arena, DataType.F32, 1, 1, 1, 8);
            attention.forward(ones, ones, ones, null, out);
            System.out.println("computed " + out.getFloat(0, 0, 0, 7) + " on " + attention.backend());
        }
    }

    private static GatedAttention.Builder builder() {
        return GatedAttention.builder().queryHeads(1).headDim(8).gate(Gate.none());
    }
}
