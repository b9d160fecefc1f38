package io.github.gatedattention;

import java.util.concurrent.ConcurrentHashMap;
import org.jspecify.annotations.Nullable;

/**
 * One CUDA device. Once opened it stays open for the life of the process: opening takes seconds, and engines, streams and
 * memory all need it.
 */
final class CudaBackend extends Backend {
    private static final ConcurrentHashMap<Integer, CudaBackend> KNOWN = new ConcurrentHashMap<>();

    private final int device;
    private @Nullable NativeRuntime runtime; // guarded by this
    private @Nullable String reason; // likewise: why there is none, for good

    private CudaBackend(int device) {
        this.device = device;
    }

    static CudaBackend of(int device) {
        if (device < 0) {
            throw new IllegalArgumentException("device is " + device + ", but devices are counted from 0");
        }
        return KNOWN.computeIfAbsent(device, CudaBackend::new);
    }

    /** The backend as one of a device. */
    static CudaBackend require(Backend backend) {
        if (backend instanceof CudaBackend cuda) {
            return cuda;
        }
        throw new IllegalArgumentException("backend is " + backend + ", but must be one of Backend.cuda");
    }

    int device() {
        return device;
    }

    /** The device's runtime, opened at the first call. */
    synchronized NativeRuntime runtime() {
        if (runtime == null) {
            if (reason != null) {
                throw new GatedAttentionException(Status.UNAVAILABLE, reason);
            }
            runtime = NativeRuntime.ofDevice(device);
        }
        return runtime;
    }

    @Override
    public String name() {
        return Place.describe(device);
    }

    /** What the machine lacks stays so; that memory was short at one time does not. */
    @Override
    public synchronized @Nullable String unavailableReason() {
        if (reason == null && runtime == null) {
            try {
                runtime();
            } catch (GatedAttentionException e) {
                if (e.status() != Status.UNAVAILABLE) {
                    return e.getMessage();
                }
                reason = e.getMessage();
            }
        }
        return reason;
    }

    @Override
    public @Nullable String slowReason() {
        return null;
    }

    @Override
    Engine open(Settings settings) {
        CudaStream stream = settings.stream();
        if (stream != null) {
            stream.acquire();
        }
        return new NativeEngine(settings, NativeRuntime.ofDevice(device));
    }

    @Override
    PrologueEngine open(PrologueSettings settings) {
        throw unsupported("the prologue");
    }

    @Override
    EpilogueEngine open(EpilogueSettings settings) {
        throw unsupported("the epilogue");
    }

    private UnsupportedOperationException unsupported(String what) {
        return new UnsupportedOperationException(
                what + " runs on the CPU alone, but the backend is " + name() + "; build it with Backend.cpu()");
    }
}
