package io.github.gatedattention.bench.sidebyside;

import io.github.gatedattention.bench.Precision;
import io.github.gatedattention.bench.Workload;
import java.util.List;

/**
 * What bounds a row, measured in the same rounds.
 *
 * @param limit what was measured, as the program {@code limits} is asked for it; empty when nothing bounds the row
 * @param rounds 1e9 floating-point operations or bytes per second, in each round; 0 when unknown
 */
record Peak(String limit, List<Double> rounds) {
    static final Peak NONE = new Peak("", List.of());

    /** The median over the rounds; 0 when unknown. */
    double gigaPerSecond() {
        return rounds.isEmpty()
                ? 0
                : Statistics.median(
                        rounds.stream().mapToDouble(Double::doubleValue).toArray());
    }

    /** Limits of bf16's own arithmetic, the fastest first; without any of them it is f32's. */
    static final List<String> BF16_INSTRUCTIONS = List.of("amx_bf16", "dot_bf16");

    /**
     * What to ask for: the rate of the type's arithmetic, or of reading the operands over and over; empty for a call.
     *
     * @param ofBf16 that of bf16 on this machine
     */
    static String request(Entry entry, String ofBf16) {
        Workload workload = entry.workload();
        Precision precision = entry.implementation().precision();
        if (workload == Workload.CALL) {
            return "";
        }
        if (workload.isDecode()) {
            return "read " + entry.implementation().bytes(workload) + " " + entry.threads();
        }
        return (precision == Precision.BF16 ? ofBf16 : "fma_f32") + " " + entry.threads();
    }

    /** The limit in words. */
    String words() {
        return switch (limit.split(" ")[0]) {
            case "fma_f32" -> "f32 FMA";
            case "dot_bf16" -> "vdpbf16ps";
            case "amx_bf16" -> "tdpbf16ps";
            case "read" -> "reading as many bytes";
            default -> "";
        };
    }
}
