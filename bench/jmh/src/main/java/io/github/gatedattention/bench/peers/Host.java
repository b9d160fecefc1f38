package io.github.gatedattention.bench.peers;

import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * The JVMs of a report: implementations that may share one, and how it is started.
 *
 * <p>Two copies of PyTorch, two versions of JavaCPP or two runtimes of OpenMP do not fit into one process. Where the JIT
 * compiler makes the code that is timed, each comparison starts afresh: what it learned from one shape must not slow
 * another one down.
 */
public enum Host {
    /** This library. */
    LIBRARY("", true),
    /** The Vector API version. */
    VECTOR_API("", true),
    /** Plain Java. */
    PLAIN_JAVA("", true),
    /** ONNX Runtime. */
    ONNX_RUNTIME("", false),
    /** PyTorch in f32: which kernels it chooses is a setting of the whole process. */
    PYTORCH_F32("", false),
    /** PyTorch in bf16. */
    PYTORCH_BF16("", false),
    /** DJL on its own PyTorch. */
    DJL("djl", false),
    /** ND4J on its own JavaCPP. */
    ND4J("nd4j", false);

    private final String module;
    private final boolean fresh;

    Host(String module, boolean fresh) {
        this.module = module;
        this.fresh = fresh;
    }

    /** {@return the directory in bench/ whose class path it has; empty when it has that of bench/jmh} */
    public String module() {
        return module;
    }

    /** {@return whether a comparison starts a new JVM} */
    public boolean fresh() {
        return fresh;
    }

    /**
     * {@return what the libraries read from the environment when they are loaded}
     *
     * @param threads how many threads an implementation may use
     * @param avx512 whether the machine has AVX-512
     */
    public Map<String, String> environment(int threads, boolean avx512) {
        Map<String, String> environment = new LinkedHashMap<>();
        environment.put("OMP_NUM_THREADS", Integer.toString(threads));
        environment.put("OPENBLAS_NUM_THREADS", "1");
        if (avx512) {
            environment.put("OPENBLAS_CORETYPE", "SkylakeX");
        }
        if (this == DJL) {
            environment.put("OPT_OUT_TRACKING", "true");
        }
        return environment;
    }

    /**
     * {@return options for its JVM}
     *
     * @param threads how many threads an implementation may use
     * @param avx512 whether the machine has AVX-512
     */
    public List<String> jvmOptions(int threads, boolean avx512) {
        return switch (this) {
            case DJL ->
                List.of(
                        "-Dai.djl.offline=true",
                        "-Dai.djl.pytorch.num_threads=" + threads,
                        "-Dai.djl.pytorch.num_interop_threads=1");
            case ND4J -> avx512 ? List.of("-Dorg.bytedeco.javacpp.platform.extension=-avx512") : List.of();
            default -> List.of();
        };
    }
}
