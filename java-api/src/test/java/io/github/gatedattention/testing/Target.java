package io.github.gatedattention.testing;

import io.github.gatedattention.Backend;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.InstructionSet;
import io.github.gatedattention.JavaBackends;
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
    private static final Target PLAIN_JAVA = new Target(JavaBackends.plain(), InstructionSet.SCALAR);
    private static final List<Target> JAVA = JavaBackends.hasVectors()
            ? List.of(PLAIN_JAVA, new Target(JavaBackends.vector(), InstructionSet.SCALAR))
            : List.of(PLAIN_JAVA);

    /**
     * The native backend once per instruction set that this machine runs, in rising order. {@code -Dga.native=false} leaves it out, for
     * machines that no native library is built for.
     */
    public static List<Target> cpu() {
        return CPU;
    }

    /** The pure Java backend: plain loops and, where this JVM has them, vectors, which come last. */
    public static List<Target> java() {
        return JAVA;
    }

    /** All of them. */
    public static Stream<Target> all() {
        return Stream.concat(CPU.stream(), JAVA.stream());
    }

    /** The native backend at its best, and the pure Java backend both ways. */
    public static Stream<Target> backends() {
        return Stream.concat(CPU.isEmpty() ? Stream.empty() : Stream.of(CPU.getLast()), JAVA.stream());
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
                .softcap(setting.softcap())
                .backend(backend)
                .threads(2);
        return isJava() ? builder : builder.maxInstructionSet(instructionSet);
    }

    /** A builder for calls on tensors of these shapes. */
    public GatedAttention.Builder builder(
            Setting setting, DataType type, DoubleTensor q, DoubleTensor k, DoubleTensor v) {
        return builder(setting, type, q.shape()[2], k.shape()[2], q.shape()[3], v.shape()[3]);
    }

    /** Whether this is the pure Java backend. */
    public boolean isJava() {
        return backend.name().equals(Backend.java().name());
    }

    /** Whether these are plain loops, the slowest. */
    public boolean isPlainJava() {
        return equals(PLAIN_JAVA);
    }

    @Override
    public String toString() {
        if (isJava()) {
            return isPlainJava() ? "java" : "java vector";
        }
        return "cpu " + instructionSet;
    }
}
