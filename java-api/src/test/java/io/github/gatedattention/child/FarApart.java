package io.github.gatedattention.child;

import io.github.gatedattention.Activation;
import io.github.gatedattention.Combination;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Scales;
import io.github.gatedattention.Sequences;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
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
            for (DataType keyType : new DataType[] {DataType.F32, DataType.F16, DataType.I8}) {
                comparePacked(target, setting, keyType);
                comparePaged(target, setting, keyType);
            }
        }
        System.out.println("all right");
    }

    private static void compare(Target target, Setting setting, DataType type, Sample.Shape shape) {
        try (Arena arena = Arena.ofShared()) {
            Sample near = Sample.of(arena, setting, type, shape);
            Operands o = near.operands();
            Operands far = Operands.of(
                    farApart(arena, o.q(), 0, FAR),
                    farApart(arena, o.k(), 0, FAR),
                    farApart(arena, o.v(), 0, FAR),
                    farApart(arena, o.gate(), 0, FAR),
                    farApart(arena, o.out(), 0, FAR));
            try (GatedAttention attention = near.builder(target).build()) {
                compare(attention, o, far, target + " " + type + " " + shape);
            }
        }
    }

    private static void compare(GatedAttention attention, Operands near, Operands far, String what) {
        attention.forward(near);
        attention.forward(far);
        if (!Arrays.equals(near.out().toFloatArray(), far.out().toFloatArray())) {
            System.out.println(what + ": results differ");
            System.exit(1);
        }
    }

    /** Two packed sequences, one of which decodes; tokens lie so far apart that the last is beyond 2^32 elements. */
    private static void comparePacked(Target target, Setting setting, DataType keyType) {
        try (Arena arena = Arena.ofShared()) {
            Sample sample = Sample.of(arena, setting, DataType.F32, new Sample.Shape(1, 18, 317, 4, 2, 64, 64));
            Operands o = sample.operands();
            Operands near = Operands.of(
                            o.q(), keys(arena, o.k(), keyType), keys(arena, o.v(), keyType), o.gate(), o.out())
                    .withScales(keyType == DataType.I8 ? scales(arena, 1, 317) : null)
                    .withSequences(Sequences.packed(
                            Tensor.copyOf(arena, DataType.I32, new int[] {0, 1, 18}, 3),
                            Tensor.copyOf(arena, DataType.I32, new int[] {0, 300, 317}, 3)));
            try (GatedAttention attention = sample.builder(target).build()) {
                compare(attention, near, farApart(arena, near, 1, 1L << 29, 1L << 24), target + " packed " + keyType);
            }
        }
    }

    /** The same on pages that lie far apart. */
    private static void comparePaged(Target target, Setting setting, DataType keyType) {
        try (Arena arena = Arena.ofShared()) {
            Sample sample = Sample.of(arena, setting, DataType.F32, new Sample.Shape(1, 18, 21 * 16, 4, 2, 64, 64));
            Operands o = sample.operands();
            int[] table = new int[2 * 19];
            Arrays.setAll(table, n -> 20 - n % 19);
            table[19] = 1;
            table[20] = 0;
            Operands near = Operands.of(
                            o.q(),
                            keys(arena, o.k(), keyType).reshape(21, 16, 2, 64),
                            keys(arena, o.v(), keyType).reshape(21, 16, 2, 64),
                            o.gate(),
                            o.out())
                    .withScales(keyType == DataType.I8 ? scales(arena, 21, 16) : null)
                    .withSequences(Sequences.paged(
                                    Tensor.copyOf(arena, DataType.I32, table, 2, 19),
                                    Tensor.copyOf(arena, DataType.I32, new int[] {300, 17}, 2))
                            .withPackedQueries(Tensor.copyOf(arena, DataType.I32, new int[] {0, 1, 18}, 3)));
            Operands far = farApart(arena, near, 0, 1L << 29, 1L << 28);
            try (GatedAttention attention = sample.builder(target).build()) {
                compare(attention, near, far, target + " paged " + keyType);
            }
        }
    }

    /** Values of F32 in another type; as whole numbers, some that follow from them. */
    private static Tensor keys(Arena arena, Tensor tensor, DataType type) {
        Tensor keys = Tensor.allocate(arena, type, tensor.shape());
        if (type != DataType.I8) {
            keys.copyFrom(tensor);
            return keys;
        }
        float[] values = tensor.toFloatArray();
        for (int n = 0; n < values.length; n++) {
            keys.segment().set(ValueLayout.JAVA_BYTE, n, (byte) Math.clamp(Math.round(values[n] * 40), -127, 127));
        }
        return keys;
    }

    private static Scales scales(Arena arena, int entries, int rows) {
        float[] values = new float[entries * rows * 2];
        for (int n = 0; n < values.length; n++) {
            values[n] = (1 + n % 7) / 200f;
        }
        return new Scales(
                Tensor.copyOf(arena, DataType.F32, values, entries, rows, 2),
                Tensor.copyOf(arena, DataType.F32, values, entries, rows, 2));
    }

    /** Copies in which queries lie {@code queryStep} apart on axis 1, and keys and their scales {@code keyStep} on the axis given. */
    private static Operands farApart(Arena arena, Operands o, int axis, long queryStep, long keyStep) {
        Scales scales = o.scales();
        return Operands.of(
                        farApart(arena, o.q(), 1, queryStep),
                        farApart(arena, o.k(), axis, keyStep),
                        farApart(arena, o.v(), axis, keyStep),
                        farApart(arena, o.gate(), 1, queryStep),
                        farApart(arena, o.out(), 1, queryStep))
                .withSequences(o.sequences())
                .withScales(
                        scales == null
                                ? null
                                : new Scales(
                                        farApart(arena, scales.keys(), axis, keyStep),
                                        farApart(arena, scales.values(), axis, keyStep)));
    }

    /** A copy with another stride along an axis; what lies between is never touched. */
    private static Tensor farApart(Arena arena, Tensor tensor, int axis, long step) {
        long[] strides = tensor.strides();
        strides[axis] = step;
        strides[0] = axis == 0 ? step : Math.max(strides[0], step * tensor.dim(axis));
        long bytes = ((tensor.dim(0) - 1) * strides[0]
                        + (axis == 0 ? 0 : (tensor.dim(axis) - 1) * step)
                        + tensor.segment().byteSize())
                * tensor.dataType().byteSize();
        Tensor copy = Tensor.of(GuardedMemory.sparse(arena, bytes), tensor.dataType(), tensor.shape(), strides);
        copy.copyFrom(tensor);
        return copy;
    }
}
