package io.github.gatedattention.child;

import io.github.gatedattention.Activation;
import io.github.gatedattention.BackwardOperands;
import io.github.gatedattention.Combination;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.reference.Floats;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Random;

/** Calls whose tensors all end, or all begin, at a page without access: a read or write beyond them ends the JVM. */
public final class GuardPages {
    private static final int[][] EXTENTS = { // B, Sq, Sk, Hq, Hkv, D, Dv
        {1, 1, 1, 1, 1, 8, 8},
        {1, 1, 257, 3, 1, 24, 40},
        {2, 1, 700, 6, 2, 72, 72},
        {1, 3, 129, 8, 1, 136, 8},
        {2, 7, 7, 2, 1, 8, 24},
        {1, 33, 65, 4, 2, 40, 120},
        {1, 127, 127, 2, 2, 64, 64},
        {2, 17, 300, 3, 3, 104, 56},
        {1, 65, 31, 4, 1, 256, 248},
        {1, 2, 33, 2, 1, 512, 504},
    };
    private static final DataType[] TYPES = {DataType.F32, DataType.BF16, DataType.F16};

    private GuardPages() {}

    public static void main(String[] arguments) {
        int calls = 0;
        for (Target target : Target.all().toList()) {
            for (DataType type : TYPES) {
                for (int[] extents : EXTENTS) {
                    for (GuardedMemory.Side side : GuardedMemory.Side.values()) {
                        System.out.println(target + " " + type + " " + Arrays.toString(extents) + " " + side);
                        for (int variant = 0; variant < 3; variant++) {
                            call(target, type, extents, side, variant);
                            calls++;
                        }
                    }
                }
                cacheBeyondItsLength(target, type);
            }
        }
        System.out.println("calls: " + calls);
    }

    private static Setting setting(int dim, int variant) {
        Setting causal = Setting.causal(dim);
        return switch (variant) {
            case 0 -> causal.withGate(Activation.SIGMOID, Combination.MULTIPLY);
            case 1 ->
                causal.withMask(false, 40, 2).withHeadwiseGate(Activation.SILU).withPre(Setting.Pre.RMS_NORM, 1e-6f);
            default -> causal.withMask(false, -1, -1);
        };
    }

    private static void call(Target target, DataType type, int[] e, GuardedMemory.Side side, int variant) {
        Setting setting = setting(e[5], variant);
        try (Arena arena = Arena.ofShared();
                GatedAttention attention =
                        target.builder(setting, type, e[3], e[4], e[5], e[6]).build()) {
            Tensor gate = setting.gated()
                    ? fill(GuardedMemory.tensor(
                            arena, side, DataType.BF16, e[0], e[1], e[3], setting.headwise() ? 1 : e[6]))
                    : null;
            Tensor lengths = GuardedMemory.tensor(arena, side, DataType.I32, e[0]);
            for (int b = 0; b < e[0]; b++) {
                lengths.setInt(b == 0 ? e[2] : 1, b);
            }
            Operands operands = Operands.of(
                            fill(GuardedMemory.tensor(arena, side, type, e[0], e[1], e[3], e[5])),
                            fill(GuardedMemory.tensor(arena, side, type, e[0], e[2], e[4], e[5])),
                            fill(GuardedMemory.tensor(arena, side, type, e[0], e[2], e[4], e[6])),
                            gate,
                            GuardedMemory.tensor(arena, side, type, e[0], e[1], e[3], e[6]))
                    .withNormWeight(
                            setting.pre() == Setting.Pre.RMS_NORM
                                    ? fill(GuardedMemory.tensor(arena, side, DataType.F32, e[3], e[6]))
                                    : null)
                    .withKeyLengths(variant == 2 ? null : lengths)
                    .withLse(GuardedMemory.tensor(arena, side, DataType.F32, e[0], e[3], e[1]));
            attention.forward(operands);
            attention.backward(gradients(arena, side, operands));
        }
    }

    private static BackwardOperands gradients(Arena arena, GuardedMemory.Side side, Operands o) {
        return BackwardOperands.of(
                        o,
                        fill(like(arena, side, o.out())),
                        like(arena, side, o.q()),
                        like(arena, side, o.k()),
                        like(arena, side, o.v()),
                        o.gate() == null ? null : like(arena, side, o.gate()))
                .withDNormWeight(o.normWeight() == null ? null : like(arena, side, o.normWeight()));
    }

    private static Tensor like(Arena arena, GuardedMemory.Side side, Tensor tensor) {
        return GuardedMemory.tensor(arena, side, tensor.dataType(), tensor.shape());
    }

    /** Keys that are not in use may lie in memory that is not even mapped. */
    private static void cacheBeyondItsLength(Target target, DataType type) {
        int capacity = 8192;
        for (int queries : new int[] {1, 9}) {
            for (int length : new int[] {1, 63, 64, 65, 1000, 2048}) {
                try (Arena arena = Arena.ofShared();
                        GatedAttention attention = target.builder(Setting.causal(64), type, 4, 1, 64, 64)
                                .build()) {
                    Tensor k = GuardedMemory.tensor(arena, GuardedMemory.Side.BEHIND, type, 1, capacity, 1, 64);
                    Tensor v = GuardedMemory.tensor(arena, GuardedMemory.Side.BEHIND, type, 1, capacity, 1, 64);
                    GuardedMemory.forbid(k.segment(), (long) length * 64 * type.byteSize());
                    GuardedMemory.forbid(v.segment(), (long) length * 64 * type.byteSize());
                    Tensor lengths = Tensor.copyOf(arena, DataType.I32, new int[] {length}, 1);
                    attention.forward(Operands.of(
                                    fill(Tensor.allocate(arena, type, 1, queries, 4, 64)),
                                    k,
                                    v,
                                    null,
                                    Tensor.allocate(arena, type, 1, queries, 4, 64))
                            .withKeyLengths(lengths));
                }
            }
        }
    }

    private static Tensor fill(Tensor tensor) {
        Random random = new Random(1);
        long elements = tensor.segment().byteSize() / tensor.dataType().byteSize();
        for (long n = 0; n < elements; n++) {
            Floats.put(tensor.segment(), tensor.dataType(), n, random.nextDouble() - 0.5);
        }
        return tensor;
    }
}
