package io.github.gatedattention.train;

/**
 * Sequences of tokens, one after the other.
 *
 * @param inputs {@code [B * S]} tokens
 * @param targets the token that follows each
 */
record Batch(int[] inputs, int[] targets) {}
