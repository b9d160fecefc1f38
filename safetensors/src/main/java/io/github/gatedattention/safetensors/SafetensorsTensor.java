package io.github.gatedattention.safetensors;

import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import java.util.Objects;

/**
 * A named tensor: dense, little-endian, last axis fastest.
 *
 * <p>{@link #data()} of a tensor that was read lies in the caller's arena, aligned to 64 bytes wherever it lay in the file.
 */
public final class SafetensorsTensor {
    private final String name;
    private final SafetensorsType dtype;
    private final long[] shape;
    private final MemorySegment data;

    /**
     * A tensor over {@code data}, which is not copied.
     *
     * @throws IllegalArgumentException when the size of {@code data} is not that of {@code shape} and {@code dtype}
     */
    public SafetensorsTensor(String name, SafetensorsType dtype, long[] shape, MemorySegment data) {
        this.name = Objects.requireNonNull(name, "name");
        this.dtype = Objects.requireNonNull(dtype, "dtype");
        this.shape = shape.clone();
        this.data = Objects.requireNonNull(data, "data");
        long bytes;
        try {
            bytes = Shapes.bytes(dtype, this.shape);
        } catch (IllegalArgumentException e) {
            throw new IllegalArgumentException("tensor " + Quote.name(name) + ": " + e.getMessage(), e);
        }
        if (bytes != data.byteSize()) {
            throw new IllegalArgumentException("tensor " + Quote.name(name) + ": " + dtype + " of shape "
                    + Arrays.toString(shape) + " takes " + bytes + " bytes, data has " + data.byteSize());
        }
    }

    /** The key in the file. */
    public String name() {
        return name;
    }

    /** The element type. */
    public SafetensorsType dtype() {
        return dtype;
    }

    /** A copy of the shape; empty for a scalar. */
    public long[] shape() {
        return shape.clone();
    }

    /** The bytes, exactly as many as shape and type say. */
    public MemorySegment data() {
        return data;
    }

    @Override
    public String toString() {
        return "SafetensorsTensor[" + Quote.name(name) + ", " + dtype + ", " + Arrays.toString(shape) + "]";
    }
}
