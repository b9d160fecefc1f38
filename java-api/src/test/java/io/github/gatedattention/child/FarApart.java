package io.github.gatedattention.child;

import io.github.gatedattention.Activation;
import io.github.gatedattention.Combination;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.Arrays;

/** Calls on tensors whose rows lie gigabytes apart, in memory that is mapped but for the most part never touched. */
public final class FarApart {
    /** More than 2^31 elements, so more than 2^32 bytes. */
    private static final long FAR = (1L << 31) + 24;

    private FarApart() {}

    public static void main(String[] arguments) {
        Setting setting = Setting.causal(64).withGate(Activation.SIGMOID, Combination.MULTIPLY);
        Sample.Shape prefill = new Sample.Shape(2, 17, 17, 4, 2, 64, 64);
        Sample.Shape decode = new Sample.Shape(2, 1, 300, 4, 2, 64, 64);
        for (Target target : Target.all().toList()) {
            for (DataType type : new DataType[] {DataType.F32, DataType.BF16}) {
                for (Sample.Shape shape : new Sample.Shape[] {prefill, decode}) {
                    compare(target, setting, type, shape);
                }
            }
        }
        System.out.println("all right");
    }

    private static void compare(Target target, Setting setting, DataType type, Sample.Shape shape) {
        try (Arena arena = Arena.ofShared()) {
            Sample near = Sample.of(arena, setting, type, shape);
            Operands o = near.operands();
            Operands far = Operands.of(
                    farApart(arena, o.q()),
                    farApart(arena, o.k()),
                    farApart(arena, o.v()),
                    farApart(arena, o.gate()),
                    farApart(arena, o.out()));
            try (GatedAttention attention = near.builder(target).build()) {
                attention.forward(o);
                attention.forward(far);
            }
            if (!Arrays.equals(o.out().toFloatArray(), far.out().toFloatArray())) {
                System.out.println(target + " " + type + " " + shape + ": results differ");
                System.exit(1);
            }
        }
    }

    /** A copy whose sequences lie {@link #FAR} elements from each other. */
    private static Tensor farApart(Arena arena, Tensor tensor) {
        long[] strides = tensor.strides();
        strides[0] = FAR;
        long bytes = (FAR + tensor.segment().byteSize()) * tensor.dataType().byteSize();
        Tensor copy = Tensor.of(GuardedMemory.sparse(arena, bytes), tensor.dataType(), tensor.shape(), strides);
        copy.copyFrom(tensor);
        return copy;
    }
}
