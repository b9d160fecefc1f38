/**
 * Finding, checking and loading the native library: {@link io.github.gatedattention.bindings.NativeLibrary}.
 *
 * <p>The functions and structs themselves are in the package {@code generated}, which jextract wrote. None of its
 * classes may be used before {@link io.github.gatedattention.bindings.NativeLibrary#state()} has said
 * {@link io.github.gatedattention.bindings.NativeLibrary.Loaded}.
 */
@NullMarked
package io.github.gatedattention.bindings;

import org.jspecify.annotations.NullMarked;
