package io.github.gatedattention;

/** The instruction sets that native kernels are written for, in rising order. */
public enum InstructionSet {
    /** Plain C++, on every machine. */
    SCALAR,
    /** 128-bit vectors of arm64. */
    NEON,
    /** 256-bit vectors of x86-64, with FMA and F16C. */
    AVX2,
    /** 512-bit vectors of x86-64 (F, BW, DQ, VL). */
    AVX512,
    /**
     * The same with products of bf16 pairs and tables of bytes (BF16, VBMI). Intel's processors are slower with the former: there it
     * is used only where it is the cap.
     */
    AVX512_BF16,
    /** AVX-512 with prefill of bf16 in the tile registers of AMX; whatever else of bf16 is multiplied in f32. */
    AMX_BF16
}
