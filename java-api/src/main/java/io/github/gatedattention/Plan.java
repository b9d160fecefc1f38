package io.github.gatedattention;

import java.util.Locale;

/**
 * What a call would do, and how much work that is.
 *
 * @param backend the backend's name, {@code cpu}, {@code java} or {@code cuda:0} and so on
 * @param kernel the kernel's name, for example {@code prefill_bf16_avx512_bf16}
 * @param instructionSet the instruction set the kernel is written for; {@link InstructionSet#SCALAR} on a CUDA device
 * @param threads threads that work, the caller's included; 1 on a CUDA device
 * @param queryBlock query rows per task
 * @param keyBlock keys per step
 * @param tasks units of work that threads claim
 * @param workspaceBytes scratch memory the call needs, in bytes
 * @param flop floating-point operations: {@code 2 (D + Dv)} per visible pair of query and key; backward, {@code 2 D} for the
 *     scores, {@code 2 Dv} for the gradients of the probabilities, {@code 2 D} for each of dQ and dK, {@code 2 Dv} for dV, and {@code
 *     2 (D + Dv)} where Y is computed anew
 * @param bytes inputs read once plus outputs written once. On a CUDA device lengths are not read, so that flop and bytes are
 *     those of sequences as long as they may be
 */
public record Plan(
        String backend,
        String kernel,
        InstructionSet instructionSet,
        int threads,
        int queryBlock,
        int keyBlock,
        long tasks,
        long workspaceBytes,
        long flop,
        long bytes) {

    private static final String[] BYTES = {" bytes", " KiB", " MiB", " GiB", " TiB"};
    private static final String[] FLOP = {" FLOP", " kFLOP", " MFLOP", " GFLOP", " TFLOP", " PFLOP"};

    /** The plan in one line, for people: {@code cpu/prefill_f32_avx2 (AVX2, 2 threads): 12 tasks of 192 query rows, ...}. */
    @Override
    public String toString() {
        return backend + "/" + kernel + " (" + instructionSet + ", " + count(threads, "thread") + "): "
                + count(tasks, "task") + " of " + count(queryBlock, "query row") + ", " + count(keyBlock, "key")
                + " per step, " + inUnits(workspaceBytes, 1024, BYTES) + " workspace, " + inUnits(flop, 1000, FLOP)
                + ", " + inUnits(bytes, 1024, BYTES) + " moved";
    }

    private static String count(long number, String unit) {
        return number + " " + unit + (number == 1 ? "" : "s");
    }

    /** In the largest unit that leaves at least 1; whole numbers of the smallest one. */
    private static String inUnits(long value, int step, String[] units) {
        int unit = 0;
        double scaled = value;
        while (scaled >= step && unit < units.length - 1) {
            scaled /= step;
            unit++;
        }
        return unit == 0 ? value + units[0] : String.format(Locale.ROOT, "%.1f%s", scaled, units[unit]);
    }
}
