package io.github.gatedattention;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.github.gatedattention.bindings.generated.ga_error;
import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Objects;

/**
 * A stream of a CUDA device: work that is enqueued on it is done in its order, and beside that of other streams. Calls of a
 * {@link GatedAttention} that was built {@linkplain GatedAttention.Builder#stream with it} return once their work is enqueued, and
 * so do copies; {@link #synchronize} waits. Any thread may use it.
 *
 * <p>A failure of work that was enqueued shows in a later call, of any kind, as {@link Status#DEVICE_FAILED}.
 */
public final class CudaStream implements AutoCloseable {
    private static final long DEFAULT = 0;

    private final CudaBackend backend;
    private final long runtime;
    private final long address;
    private int uses; // guarded by this
    private boolean closed; // likewise

    private CudaStream(CudaBackend backend, long address) {
        this.backend = backend;
        this.runtime = backend.runtime().handle();
        this.address = address;
    }

    /**
     * Opens a stream that does not wait for the default one.
     *
     * @param backend one of {@link Backend#cuda}
     * @return a stream to be closed by the caller
     * @throws IllegalArgumentException when the backend is not a CUDA device
     * @throws GatedAttentionException when the device is not available, or failed
     */
    public static CudaStream open(Backend backend) {
        CudaBackend cuda = CudaBackend.require(Objects.requireNonNull(backend, "backend is null"));
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment stream = arena.allocate(ADDRESS);
            MemorySegment error = ga_error.allocate(arena);
            check(gated_attention_h.ga_stream_open(cuda.runtime().handle(), stream, error), error);
            return new CudaStream(cuda, stream.get(JAVA_LONG, 0));
        }
    }

    /**
     * The device's default stream, where calls go that have no other. Closing it does nothing.
     *
     * @param backend one of {@link Backend#cuda}
     * @return the stream
     * @throws IllegalArgumentException when the backend is not a CUDA device
     * @throws GatedAttentionException when the device is not available
     */
    public static CudaStream ofDefault(Backend backend) {
        return new CudaStream(CudaBackend.require(Objects.requireNonNull(backend, "backend is null")), DEFAULT);
    }

    /**
     * Enqueues a copy of all elements, between the device and the host in either direction, or on the device. From and to
     * {@linkplain CudaMemory#allocatePinned pinned} memory it returns at once: neither tensor is to be changed, nor the target
     * read, until the stream is synchronized. With other memory of the host it returns when the copy is done.
     *
     * @param source a contiguous tensor
     * @param target a contiguous tensor of the same type and shape, apart from the source
     * @throws IllegalArgumentException when types or shapes differ, a tensor is not contiguous or is of another device, the
     *     target is read-only, or both are of the host
     * @throws IllegalStateException when this stream or the memory of a tensor is closed
     * @throws WrongThreadException when the arena of a tensor is confined to another thread
     * @throws GatedAttentionException when the device failed
     */
    public void copy(Tensor source, Tensor target) {
        checkCopy(source, target);
        acquire();
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = ga_error.allocate(arena);
            MemorySegment from = source.memory();
            MemorySegment to = target.memory();
            check(
                    gated_attention_h.ga_memory_copy(
                            runtime, to, from, source.spanBytes(), MemorySegment.ofAddress(address), error, to, from),
                    error);
            if (source.place() == Place.HOST || target.place() == Place.HOST) {
                // Its arena may be closed, and its memory be another's, as soon as this returns.
                synchronize(error);
            }
        } finally {
            release();
        }
    }

    private void checkCopy(Tensor source, Tensor target) {
        Objects.requireNonNull(source, "source is null");
        Objects.requireNonNull(target, "target is null");
        if (source.dataType() != target.dataType() || !Arrays.equals(source.shape(), target.shape())) {
            throw new IllegalArgumentException(
                    "source is a " + source + ", but target is a " + target + "; a copy keeps type and shape");
        }
        checkPlace("source", source);
        checkPlace("target", target);
        if (!source.isOnDevice() && !target.isOnDevice()) {
            throw new IllegalArgumentException(
                    "source and target are both in memory of the host; copy them with Tensor.copyFrom");
        }
        if (target.memory().isReadOnly()) {
            throw new IllegalArgumentException("target is read-only, but the copy writes to it");
        }
    }

    private void checkPlace(String name, Tensor tensor) {
        if (!tensor.isContiguous()) {
            throw new IllegalArgumentException(
                    name + " is a " + tensor + ", but a copy needs contiguous elements on both sides");
        }
        if (tensor.isOnDevice() && tensor.place() != backend.device()) {
            throw new IllegalArgumentException(
                    name + " is in memory of " + Place.describe(tensor.place()) + ", but this stream is of " + backend);
        }
        CallCheck.requireOpen(name, tensor);
    }

    /**
     * Waits until all work is done that was enqueued on this stream so far.
     *
     * @throws IllegalStateException when this stream is closed
     * @throws GatedAttentionException when the device failed, in this work or before
     */
    public void synchronize() {
        acquire();
        try (Arena arena = Arena.ofConfined()) {
            synchronize(ga_error.allocate(arena));
        } finally {
            release();
        }
    }

    private void synchronize(MemorySegment error) {
        check(gated_attention_h.ga_stream_synchronize(runtime, MemorySegment.ofAddress(address), error), error);
    }

    /**
     * Returns the device.
     *
     * @return one of {@link Backend#cuda}
     */
    public Backend backend() {
        return backend;
    }

    /** The {@code cudaStream_t}, for native calls of those that hold a use. */
    long address() {
        return address;
    }

    /** Keeps the stream open until {@link #release}. */
    synchronized void acquire() {
        if (closed) {
            throw new IllegalStateException("this CudaStream is closed; open another one");
        }
        uses++;
    }

    synchronized void release() {
        uses--;
    }

    /**
     * Waits for the stream's work and closes it. Closing it again does nothing.
     *
     * @throws IllegalStateException when a {@link GatedAttention} that was built with it is still open, or another thread uses it
     *     right now
     */
    @Override
    public synchronized void close() {
        if (closed || address == DEFAULT) {
            return;
        }
        if (uses > 0) {
            throw new IllegalStateException(
                    "this CudaStream is in use by " + uses + " attentions or calls; close them first");
        }
        closed = true;
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = ga_error.allocate(arena);
            int status = gated_attention_h.ga_stream_close(runtime, MemorySegment.ofAddress(address), error);
            if (status != gated_attention_h.GA_DEVICE_FAILED()) { // with which it is gone
                check(status, error);
            }
        }
    }

    private static void check(int status, MemorySegment error) {
        if (status != gated_attention_h.GA_OK()) {
            throw NativeErrors.exception(status, error);
        }
    }

    @Override
    public String toString() {
        return "CudaStream[" + backend + (address == DEFAULT ? ", default" : "") + "]";
    }
}
