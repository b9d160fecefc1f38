/**
 * Gated attention for the JVM.
 */
@NullMarked
package io.github.gatedattention;

import org.jspecify.annotations.NullMarked;
