package io.github.gatedattention;

/** How the gate's value {@code a(G)} meets the attention output {@code Y}. */
public enum Combination {
    /** {@code O = Y * a(G)}. */
    MULTIPLY,
    /** {@code O = Y + a(G)}. */
    ADD
}
