package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/**
 * Where attention is computed.
 *
 * {@snippet file="io/github/gatedattention/examples/ExamplesTest.java" region="backend"}
 */
public abstract sealed class Backend permits CpuBackend, CudaBackend, JavaBackend {
    Backend() {}

    /**
     * The fastest backend of this machine for memory of the host: {@link #cpu()} where the native library loads, else {@link #java()}. The
     * first time it falls back, a warning with the reason goes to the {@link System.Logger} {@code
     * io.github.gatedattention}.
     *
     * @return an available backend
     */
    public static Backend best() {
        return Best.BACKEND;
    }

    /**
     * Native kernels on the CPU. Where the library does not load, {@link #unavailableReason()} says why.
     *
     * @return the backend, available or not
     */
    public static Backend cpu() {
        return Known.CPU;
    }

    /**
     * Pure Java: the same results on every machine. Where the JVM was started with {@code --add-modules
     * jdk.incubator.vector} it computes with Java's Vector API, else with plain loops, many times slower.
     *
     * @return the backend, always available
     */
    public static Backend java() {
        return Known.JAVA;
    }

    /**
     * Kernels on an NVIDIA GPU: the same calls, whose tensors lie in its memory ({@link CudaMemory}) and whose work is enqueued on
     * a {@link CudaStream}. Forward and merge; not run on a GPU yet. Where the library, the driver or the device is missing,
     * {@link #unavailableReason()} says which.
     *
     * @param device the device's number as CUDA counts them, from 0
     * @return the backend, available or not; the same object for the same number
     * @throws IllegalArgumentException when the number is negative
     */
    public static Backend cuda(int device) {
        return CudaBackend.of(device);
    }

    /**
     * Returns the backend's name.
     *
     * @return {@code cpu}, {@code java}, or {@code cuda:0} and so on
     */
    public abstract String name();

    /**
     * Returns whether this backend can be used. The first question about {@link #cpu()} loads the native library, about a CUDA
     * device also that of its kernels, and opens the device.
     *
     * @return whether {@link #unavailableReason()} is null
     */
    public final boolean isAvailable() {
        return unavailableReason() == null;
    }

    /**
     * Says why this backend cannot be used.
     *
     * @return one sentence, or null when it can
     */
    public abstract @Nullable String unavailableReason();

    /**
     * Says why this backend is slower than it is elsewhere: the pure Java one without Java's Vector API.
     *
     * @return one sentence, or null when nothing holds it back
     */
    public abstract @Nullable String slowReason();

    abstract Engine open(Settings settings);

    abstract PrologueEngine open(PrologueSettings settings);

    abstract EpilogueEngine open(EpilogueSettings settings);

    @Override
    public String toString() {
        return name();
    }

    private static final class Known {
        static final Backend CPU = new CpuBackend();
        static final Backend JAVA = new JavaBackend(VectorModule.reasonAgainst());
    }

    /** Chosen, and the fallback logged, once. */
    private static final class Best {
        static final Backend BACKEND = choose();

        private static Backend choose() {
            String reason = cpu().unavailableReason();
            if (reason == null) {
                return cpu();
            }
            System.getLogger("io.github.gatedattention")
                    .log(
                            System.Logger.Level.WARNING,
                            java().slowReason() == null
                                    ? "No native kernels, so attention runs on Java''s Vector API, slower: {0}"
                                    : "No native kernels, so attention runs in plain Java, many times slower ({1}): {0}",
                            reason,
                            java().slowReason());
            return java();
        }
    }
}
