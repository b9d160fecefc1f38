package io.github.gatedattention;

import static java.lang.foreign.ValueLayout.ADDRESS;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.github.gatedattention.bindings.CudaLibrary;
import io.github.gatedattention.bindings.generated.ga_error;
import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Objects;

/**
 * Owns memory of a CUDA device, and pinned memory of the host, until it is closed: what an {@link Arena} is for memory of the
 * host. Any thread may use it.
 *
 * <p>Closing waits for the work of the device, so that no kernel and no copy still uses the memory, and is refused while a call
 * that was given it is being made in another thread. Views throw {@link IllegalStateException} from then on.
 *
 * {@snippet file="io/github/gatedattention/examples/CudaExample.java" region="cuda"}
 */
public final class CudaMemory implements AutoCloseable {
    private final CudaBackend backend;
    private final long runtime;
    private final Arena arena = Arena.ofShared();

    private CudaMemory(CudaBackend backend) {
        this.backend = backend;
        this.runtime = backend.runtime().handle();
    }

    /**
     * Opens an owner of memory that has none yet.
     *
     * @param backend one of {@link Backend#cuda}
     * @return an owner to be closed by the caller
     * @throws IllegalArgumentException when the backend is not a CUDA device
     * @throws GatedAttentionException when the device is not available; {@link Backend#unavailableReason} says why
     */
    public static CudaMemory open(Backend backend) {
        return new CudaMemory(CudaBackend.require(Objects.requireNonNull(backend, "backend is null")));
    }

    /**
     * Allocates a contiguous tensor on the device, zeroed and aligned to 256 bytes. Its elements cannot be touched by the host.
     *
     * @param dataType the elements' type
     * @param shape the extent of each axis, at least 0
     * @return a tensor over new memory
     * @throws IllegalArgumentException when an extent is negative or the size overflows
     * @throws IllegalStateException when this is closed
     * @throws GatedAttentionException when the device has too little memory left ({@link Status#OUT_OF_MEMORY}), or failed
     */
    public Tensor allocate(DataType dataType, long... shape) {
        return allocate(gated_attention_h.GA_MEMORY_DEVICE(), backend.device(), dataType, shape);
    }

    /**
     * Allocates a contiguous tensor in pinned memory of the host, zeroed: an ordinary tensor, from and to which {@link
     * CudaStream#copy} copies without waiting.
     *
     * @param dataType the elements' type
     * @param shape the extent of each axis, at least 0
     * @return a tensor over new memory
     * @throws IllegalArgumentException when an extent is negative or the size overflows
     * @throws IllegalStateException when this is closed
     * @throws GatedAttentionException when there is too little memory left, or the device failed
     */
    public Tensor allocatePinned(DataType dataType, long... shape) {
        return allocate(gated_attention_h.GA_MEMORY_PINNED(), Place.PINNED, dataType, shape);
    }

    private Tensor allocate(int kind, int place, DataType dataType, long[] shape) {
        long[] extents = shape.clone();
        long[] strides = TensorLayout.contiguousStrides(dataType, extents);
        long bytes = Math.max(1, TensorLayout.spanBytes(dataType, extents, strides));
        if (!arena.scope().isAlive()) {
            throw new IllegalStateException("this CudaMemory is closed; open another one");
        }
        try (Arena call = Arena.ofConfined()) {
            MemorySegment error = ga_error.allocate(call);
            MemorySegment address = call.allocate(ADDRESS);
            int status = gated_attention_h.ga_memory_allocate(runtime, kind, bytes, address, error);
            if (status != gated_attention_h.GA_OK()) {
                throw NativeErrors.exception(status, error);
            }
            long memory = address.get(JAVA_LONG, 0);
            try {
                return Tensor.at(
                        place, CudaLibrary.memory(memory, bytes, arena, () -> free(memory)), dataType, extents);
            } catch (IllegalStateException closedMeanwhile) {
                free(memory);
                throw closedMeanwhile;
            }
        }
    }

    private void free(long memory) {
        try (Arena call = Arena.ofConfined()) {
            MemorySegment error = ga_error.allocate(call);
            int status = gated_attention_h.ga_memory_free(runtime, MemorySegment.ofAddress(memory), error);
            // The memory of a device that failed went with it.
            if (status != gated_attention_h.GA_OK() && status != gated_attention_h.GA_DEVICE_FAILED()) {
                throw NativeErrors.exception(status, error);
            }
        }
    }

    /**
     * Frees the memory when the work of the device is done.
     *
     * @throws IllegalStateException when a call in another thread uses the memory right now, or this is closed already
     */
    @Override
    public void close() {
        arena.close();
    }

    @Override
    public String toString() {
        return "CudaMemory[" + backend + "]";
    }
}
