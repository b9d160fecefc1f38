package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/**
 * The gradients of one {@link AttentionPrologue#backward}: one for each projection that the operands have.
 *
 * @param q of the queries
 * @param k of the keys
 * @param v of the values
 */
public record PrologueGradients(
        @Nullable HeadGradients q,
        @Nullable HeadGradients k,
        @Nullable HeadGradients v) {

    /** q, k or v by number. */
    @Nullable
    HeadGradients part(int n) {
        return n == 0 ? q : n == 1 ? k : v;
    }
}
