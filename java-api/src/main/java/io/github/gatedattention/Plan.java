package io.github.gatedattention;

import java.util.Locale;

/**
 * What a call would do, and how much work that is.
 *
 * @param backend the backend's name, {@code cpu} or {@code java}
 * @param kernel the kernel's name, for example {@code prefill_bf16_avx512_bf16}
 * @param instructionSet the instruction set the kernel is written for
 * @param threads threads that work, the caller's included
 * @param queryBlock query rows per task
 * @param keyBlock keys per step
 * @param tasks units of work that threads claim
 * @param workspaceBytes scratch memory the call needs, in bytes
 * @param flop floating-point operations: {@code 2 (D + Dv)} per visible pair of query and key
 * @param bytes inputs read once plus outputs written once
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

    @Override
    public String toString() {
        return String.format(
                Locale.ROOT,
                "%s/%s (%s, %d threads): %d tasks of %d query rows, %d keys per step, %s workspace, %.3f GFLOP, %s moved",
                backend,
                kernel,
                instructionSet,
                threads,
                tasks,
                queryBlock,
                keyBlock,
                inUnits(workspaceBytes),
                flop / 1e9,
                inUnits(bytes));
    }

    private static String inUnits(long bytes) {
        return bytes < 1024 * 1024
                ? String.format(Locale.ROOT, "%.1f KiB", bytes / 1024.0)
                : String.format(Locale.ROOT, "%.1f MiB", bytes / (1024.0 * 1024));
    }
}
