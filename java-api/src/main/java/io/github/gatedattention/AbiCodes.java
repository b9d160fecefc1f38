package io.github.gatedattention;

import io.github.gatedattention.bindings.generated.gated_attention_h;

/** The numbers that stand for Java's constants in the C ABI. */
final class AbiCodes {
    private AbiCodes() {}

    static int of(DataType type) {
        return switch (type) {
            case F32 -> gated_attention_h.GA_F32();
            case BF16 -> gated_attention_h.GA_BF16();
            case F16 -> gated_attention_h.GA_F16();
            case I32 -> gated_attention_h.GA_I32();
            case I8 -> gated_attention_h.GA_I8();
        };
    }

    static int of(Activation activation) {
        return switch (activation) {
            case SIGMOID -> gated_attention_h.GA_SIGMOID();
            case SILU -> gated_attention_h.GA_SILU();
            case IDENTITY -> gated_attention_h.GA_IDENTITY();
            case NS_SIGMOID -> gated_attention_h.GA_NS_SIGMOID();
            case TWO_SIGMOID -> gated_attention_h.GA_TWO_SIGMOID();
            case SOFTPLUS -> gated_attention_h.GA_SOFTPLUS();
            case TANH -> gated_attention_h.GA_TANH();
        };
    }

    static int of(Combination combination) {
        return switch (combination) {
            case MULTIPLY -> gated_attention_h.GA_MULTIPLY();
            case ADD -> gated_attention_h.GA_ADD();
        };
    }

    static int of(Gate.Step step) {
        return switch (step) {
            case NONE -> gated_attention_h.GA_PRE_NONE();
            case RMS_NORM -> gated_attention_h.GA_PRE_RMS_NORM();
            case SILU -> gated_attention_h.GA_PRE_SILU();
        };
    }

    static int of(InstructionSet instructionSet) {
        return switch (instructionSet) {
            case SCALAR -> gated_attention_h.GA_ISA_SCALAR();
            case NEON -> gated_attention_h.GA_ISA_NEON();
            case AVX2 -> gated_attention_h.GA_ISA_AVX2();
            case AVX512 -> gated_attention_h.GA_ISA_AVX512();
            case AVX512_BF16 -> gated_attention_h.GA_ISA_AVX512_BF16();
            case AMX_BF16 -> gated_attention_h.GA_ISA_AMX_BF16();
        };
    }

    static InstructionSet instructionSet(int code) {
        for (InstructionSet instructionSet : InstructionSet.values()) {
            if (of(instructionSet) == code) {
                return instructionSet;
            }
        }
        throw new GatedAttentionException(
                Status.INTERNAL, "native code named instruction set " + code + ", which these bindings do not know");
    }

    static Status status(int code) {
        for (Status status : Status.values()) {
            if (of(status) == code) {
                return status;
            }
        }
        return Status.INTERNAL;
    }

    private static int of(Status status) {
        return switch (status) {
            case INVALID_ARGUMENT -> gated_attention_h.GA_INVALID_ARGUMENT();
            case INVALID_HANDLE -> gated_attention_h.GA_INVALID_HANDLE();
            case UNSUPPORTED -> gated_attention_h.GA_UNSUPPORTED();
            case OUT_OF_MEMORY -> gated_attention_h.GA_OUT_OF_MEMORY();
            case INTERNAL -> gated_attention_h.GA_INTERNAL();
            case UNAVAILABLE -> gated_attention_h.GA_UNAVAILABLE();
            case DEVICE_FAILED -> gated_attention_h.GA_DEVICE_FAILED();
        };
    }
}
