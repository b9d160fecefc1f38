/** A small causal language model, trained with the public API of the library and a BLAS. */
@NullMarked
package io.github.gatedattention.train;

import org.jspecify.annotations.NullMarked;
