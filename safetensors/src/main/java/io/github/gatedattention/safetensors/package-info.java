/**
 * Safetensors files: an 8-byte little-endian length, a JSON header, and the tensors' bytes.
 *
 * <p>{@link io.github.gatedattention.safetensors.SafetensorsFile} is the way in. Reading is strict, because files come from
 * elsewhere: whatever the format does not allow is refused with a {@link
 * io.github.gatedattention.safetensors.SafetensorsException} whose one sentence names the file, what is wrong and the values.
 * Files are read, never mapped: a mapped file that somebody truncates takes the whole JVM down.
 */
@NullMarked
package io.github.gatedattention.safetensors;

import org.jspecify.annotations.NullMarked;
