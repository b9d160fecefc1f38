package io.github.gatedattention.safetensors;

/**
 * What the header says about one tensor.
 *
 * @param begin first byte, counted from the start of the data
 * @param end the byte after the last one
 */
record TensorEntry(String name, SafetensorsType type, long[] shape, long begin, long end) {
    /** Bytes of the tensor. */
    long bytes() {
        return end - begin;
    }
}
