package io.github.gatedattention.testing;

import io.github.gatedattention.Backend;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.InstructionSet;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Setting;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;

/**
 * A way to compute that this machine has: a backend and, for the native one, the best instruction set it may use.
 *
 * @param backend where the work is done
 * @param instructionSet the one that is used
 */
public record Target(Backend backend, InstructionSet instructionSet) {
    private static final List<Target> CPU = nativeTargets();
    private static final Target JAVA = new Target(Backend.java(), InstructionSet.SCALAR);

    /**
     * The native backend once per instruction set that this machine runs, in rising order. {@code -Dga.native=false} leaves it out, for
     * machines that no native library is built for.
     */
    public static List<Target> cpu() {
        return CPU;
    }

    /** The pure Java backend. */
    public static Target java() {
        return JAVA;
    }

    /** All of them. */
    public static Stream<Target> all() {
        return Stream.concat(CPU.stream(), Stream.of(JAVA));
    }

    /** The native backend at its best, and the pure Java backend. */
    public static Stream<Target> backends() {
        return CPU.isEmpty() ? Stream.of(JAVA) : Stream.of(CPU.getLast(), JAVA);
    }

    private static List<Target> nativeTargets() {
        if (!Boolean.parseBoolean(System.getProperty("ga.native", "true"))) {
            return List.of();
        }
        if (!Backend.cpu().isAvailable()) {
            throw new IllegalStateException(
                    "these tests need the native library: " + Backend.cpu().unavailableReason());
        }
        List<Target> targets = new ArrayList<>();
        for (InstructionSet set : InstructionSet.values()) {
            try (GatedAttention attention = GatedAttention.builder()
                    .queryHeads(1)
                    .headDim(8)
                    .backend(Backend.cpu())
                    .threads(1)
                    .maxInstructionSet(set)
                    .build()) {
                if (attention.instructionSet() == set) {
                    targets.add(new Target(Backend.cpu(), set));
                }
            }
        }
        return List.copyOf(targets);
    }

    /** A builder for calls of this setting and these extents. */
    public GatedAttention.Builder builder(
            Setting setting, DataType type, int queryHeads, int keyValueHeads, int d, int dv) {
        GatedAttention.Builder builder = GatedAttention.builder()
                .queryHeads(queryHeads)
                .keyValueHeads(keyValueHeads)
                .headDim(d)
                .valueHeadDim(dv)
                .dataType(type)
                .gate(setting.gate())
                .mask(setting.mask())
                .scale(setting.scale())
                .backend(backend)
                .threads(2);
        return backend.equals(Backend.java()) ? builder : builder.maxInstructionSet(instructionSet);
    }

    /** A builder for calls on tensors of these shapes. */
    public GatedAttention.Builder builder(
            Setting setting, DataType type, DoubleTensor q, DoubleTensor k, DoubleTensor v) {
        return builder(setting, type, q.shape()[2], k.shape()[2], q.shape()[3], v.shape()[3]);
    }

    @Override
    public String toString() {
        return backend.equals(Backend.java()) ? "java" : "cpu " + instructionSet;
    }
}
