package io.github.gatedattention.bench.peers;

import io.github.gatedattention.baselines.PlainJavaAttention;
import io.github.gatedattention.baselines.VectorApiAttention;
import io.github.gatedattention.bench.Inputs;
import io.github.gatedattention.bench.Precision;

/** Everything that is compared, in the order of the tables. */
public enum Implementation {
    /** This library, bf16. */
    GATED_ATTENTION_BF16("this library, bf16", Precision.BF16, LibraryPeer::new, LibraryPeer.TUNING),
    /** This library, f32. */
    GATED_ATTENTION_F32("this library, f32", Precision.F32, LibraryPeer::new, LibraryPeer.TUNING),
    /** Java's Vector API. */
    VECTOR_API_F32(
            "Vector API, f32",
            Precision.F32,
            (inputs, threads) -> new ArrayPeer(inputs, threads, VectorApiAttention::new),
            "flash-style blocks, operands [B, H, S, D], no allocation once warm"),
    /** ONNX Runtime's GroupQueryAttention. */
    ONNX_RUNTIME_F32(
            "ONNX Runtime GroupQueryAttention, f32", Precision.F32, OnnxRuntimePeer::new, OnnxRuntimePeer.TUNING),
    /** PyTorch, f32. */
    PYTORCH_F32("PyTorch, f32", Precision.F32, PyTorchPeer::new, PyTorchPeer.TUNING),
    /** PyTorch, bf16. */
    PYTORCH_BF16(
            "PyTorch, bf16",
            Precision.BF16,
            PyTorchPeer::new,
            PyTorchPeer.TUNING + "; prefill with setSDPUseFlash(false), which is faster here"),
    /** Loops. */
    PLAIN_JAVA_F32(
            "plain Java loops, f32",
            Precision.F32,
            (inputs, threads) -> new ArrayPeer(inputs, threads, PlainJavaAttention::new),
            "heads spread over the threads, operands [B, H, S, D]");

    @FunctionalInterface
    private interface Factory {
        Peer create(Inputs inputs, int threads) throws Exception;
    }

    private final String title;
    private final Precision precision;

    @SuppressWarnings("ImmutableEnumChecker") // a constructor
    private final Factory factory;

    private final String tuning;

    Implementation(String title, Precision precision, Factory factory, String tuning) {
        this.title = title;
        this.precision = precision;
        this.factory = factory;
        this.tuning = tuning;
    }

    /** {@return its name in tables} */
    public String title() {
        return title;
    }

    /** {@return the type of its operands} */
    public Precision precision() {
        return precision;
    }

    /** {@return whether it is this library and no peer} */
    public boolean isLibrary() {
        return this == GATED_ATTENTION_BF16 || this == GATED_ATTENTION_F32;
    }

    /**
     * {@return this library}
     *
     * @param type the type of its operands
     */
    public static Implementation library(Precision type) {
        return type == Precision.BF16 ? GATED_ATTENTION_BF16 : GATED_ATTENTION_F32;
    }

    /** {@return how it was set up to be fast, in words} */
    public String tuning() {
        return tuning;
    }

    /**
     * Loads the implementation and gives it the operands, in the layout that it likes best.
     *
     * @param inputs the operands
     * @param threads how many threads it may use
     * @return the implementation, ready to run
     * @throws Exception when it cannot be loaded or refuses the operands
     */
    public Peer create(Inputs inputs, int threads) throws Exception {
        return factory.create(inputs, threads);
    }
}
