package io.github.gatedattention.bench.peers;

import io.github.gatedattention.DataType;
import io.github.gatedattention.baselines.PlainJavaAttention;
import io.github.gatedattention.baselines.VectorApiAttention;
import io.github.gatedattention.bench.Inputs;
import io.github.gatedattention.bench.Precision;
import io.github.gatedattention.bench.Workload;
import java.util.Arrays;
import java.util.EnumSet;
import java.util.List;
import java.util.Set;

/** Everything that is compared, in the order of the tables. */
public enum Implementation {
    /** This library, bf16. */
    GATED_ATTENTION_BF16("this library, bf16", Precision.BF16, Host.LIBRARY, LibraryPeer::new, LibraryPeer.TUNING),
    /** This library, f32. */
    GATED_ATTENTION_F32("this library, f32", Precision.F32, Host.LIBRARY, LibraryPeer::new, LibraryPeer.TUNING),
    /** Java's Vector API. */
    VECTOR_API_F32(
            "Vector API, f32",
            Precision.F32,
            Host.VECTOR_API,
            (inputs, threads) -> new ArrayPeer(inputs, threads, VectorApiAttention::new),
            "flash-style blocks, operands [B, H, S, D], no allocation once warm"),
    /** ONNX Runtime's GroupQueryAttention. */
    ONNX_RUNTIME_F32(
            "ONNX Runtime GroupQueryAttention, f32",
            Precision.F32,
            Host.ONNX_RUNTIME,
            (inputs, threads) -> OnnxRuntimePeer.groupQueryAttention(inputs, threads),
            OnnxRuntimePeer.TUNING),
    /** ONNX Runtime's Attention of the ONNX standard. */
    ONNX_ATTENTION_F32(
            "ONNX Runtime Attention (opset 23), f32",
            Precision.F32,
            Host.ONNX_RUNTIME,
            (inputs, threads) -> OnnxRuntimePeer.attention(inputs, threads),
            OnnxRuntimePeer.ATTENTION_TUNING),
    /** PyTorch, f32. */
    PYTORCH_F32(
            "PyTorch, f32",
            Precision.F32,
            Host.PYTORCH_F32,
            (inputs, threads) -> new PyTorchPeer(inputs, threads),
            PyTorchPeer.TUNING),
    /** PyTorch, bf16. */
    PYTORCH_BF16(
            "PyTorch, bf16",
            Precision.BF16,
            Host.PYTORCH_BF16,
            (inputs, threads) -> new PyTorchPeer(inputs, threads),
            PyTorchPeer.TUNING + "; prefill with setSDPUseFlash(false), which is faster here"),
    /** DJL, composed. */
    DJL_F32(
            "DJL, composed, f32",
            Precision.F32,
            Host.DJL,
            named("djl.DjlPeer"),
            "PyTorch engine, native 2.7.1; matMul (not batchDot), softmax, matMul; scale on Q, mask added in place;"
                    + " operands [B, H, S, D], K transposed, K and V repeated to Hq heads"),
    /** ND4J, composed. */
    ND4J_F32(
            "ND4J, composed, f32",
            Precision.F32,
            Host.ND4J,
            named("nd4j.Nd4jPeer"),
            "the AVX-512 build where it fits, OPENBLAS_CORETYPE as for PyTorch; matmul, softmax, matmul into"
                    + " preallocated arrays; scale on Q, mask added in place; operands [B, H, S, D], K transposed,"
                    + " K and V repeated to Hq heads"),
    /** Loops. */
    PLAIN_JAVA_F32(
            "plain Java loops, f32",
            Precision.F32,
            Host.PLAIN_JAVA,
            (inputs, threads) -> new ArrayPeer(inputs, threads, PlainJavaAttention::new),
            "heads spread over the threads, operands [B, H, S, D]"),
    /** This library's {@code PreparedForward}: what a call costs without the checks. */
    PREPARED_F32(
            "this library, prepared, f32",
            Precision.F32,
            Host.LIBRARY,
            PreparedPeer::new,
            "PreparedForward: operands are checked once"),
    /** This library's native function, called with a struct that is filled once: the least a call can cost. */
    BARE_F32("the bare native call, f32", Precision.F32, Host.LIBRARY, BarePeer::new, "a struct that is filled once"),
    /** This library, f16. */
    GATED_ATTENTION_F16("this library, f16", Precision.F16, Host.LIBRARY, LibraryPeer::new, LibraryPeer.TUNING),
    /** This library, on a cache of whole numbers. */
    INT8_BF16(
            "this library, bf16 on an int8 cache",
            Precision.BF16,
            Host.LIBRARY,
            (inputs, threads) -> new CachePeer(inputs, threads, DataType.I8, false),
            "KvCache.contiguous of I8; the error is mostly that of the quantization"),
    /** This library, on pages. */
    PAGED_BF16(
            "this library, bf16, paged",
            Precision.BF16,
            Host.LIBRARY,
            (inputs, threads) -> new CachePeer(inputs, threads, DataType.BF16, true),
            CachePeer.PAGED_TUNING),
    /** This library, on pages of whole numbers. */
    PAGED_INT8_BF16(
            "this library, bf16 on a paged int8 cache",
            Precision.BF16,
            Host.LIBRARY,
            (inputs, threads) -> new CachePeer(inputs, threads, DataType.I8, true),
            CachePeer.PAGED_TUNING),
    /** This library, sequences without padding. */
    PACKED_BF16("this library, bf16, packed", Precision.BF16, Host.LIBRARY, PackedPeer::new, PackedPeer.TUNING),
    /** Likewise. */
    PACKED_F32("this library, f32, packed", Precision.F32, Host.LIBRARY, PackedPeer::new, PackedPeer.TUNING);

    /** What serving programs use beside plain tensors. */
    private static final Set<Implementation> SERVING =
            EnumSet.of(GATED_ATTENTION_F16, INT8_BF16, PAGED_BF16, PAGED_INT8_BF16, PACKED_BF16, PACKED_F32);

    private static final Set<Implementation> IN_REPORTS_ONLY =
            EnumSet.of(ONNX_ATTENTION_F32, DJL_F32, ND4J_F32, PREPARED_F32, BARE_F32);

    /** Lambdas and not method references, which would load peers that are not on the class path of every {@link Host}. */
    @FunctionalInterface
    private interface Factory {
        Peer create(Inputs inputs, int threads) throws Exception;
    }

    private final String title;
    private final Precision precision;
    private final Host host;

    @SuppressWarnings("ImmutableEnumChecker") // a constructor
    private final Factory factory;

    private final String tuning;

    Implementation(String title, Precision precision, Host host, Factory factory, String tuning) {
        this.title = title;
        this.precision = precision;
        this.host = host;
        this.factory = factory;
        this.tuning = tuning;
    }

    /** The peers with a class path of their own. */
    private static Factory named(String name) {
        return (inputs, threads) -> {
            Class<?> peer = Class.forName("io.github.gatedattention.bench." + name);
            return (Peer) peer.getConstructor(Inputs.class, int.class).newInstance(inputs, threads);
        };
    }

    /** {@return what JMH's benchmarks compare; the others take part in reports only} */
    public static List<Implementation> inBenchmarks() {
        return Arrays.stream(values())
                .filter(i -> !IN_REPORTS_ONLY.contains(i) && !i.isForServing())
                .toList();
    }

    /** {@return the JVM of a report that it runs in} */
    public Host host() {
        return host;
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
        return host == Host.LIBRARY;
    }

    /**
     * {@return this library}
     *
     * @param type the type of its operands
     */
    public static Implementation library(Precision type) {
        return switch (type) {
            case F32 -> GATED_ATTENTION_F32;
            case BF16 -> GATED_ATTENTION_BF16;
            case F16 -> GATED_ATTENTION_F16;
        };
    }

    /** {@return whether it is this library in a way of its own, that no peer has} */
    public boolean isForServing() {
        return SERVING.contains(this);
    }

    /**
     * {@return bytes of the operands, each read once, and of the output}
     *
     * @param workload the shape
     */
    public long bytes(Workload workload) {
        if (this != INT8_BF16 && this != PAGED_INT8_BF16) {
            return workload.bytes(precision);
        }
        long numbers = 2L * workload.shape().keyElements();
        return workload.bytesBesideKeys(precision)
                + numbers
                + numbers / workload.shape().headDim() * Float.BYTES;
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
