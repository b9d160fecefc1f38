/**
 * Gated attention for the JVM: {@code O = gate(softmax(scale * Q K^T + mask) V, G)}, with native kernels where the
 * machine has them and pure Java elsewhere.
 *
 * <p>Source: <a href="https://arxiv.org/abs/2505.06708">Gated Attention for Large Language Models</a>, whose gate at the
 * attention output is {@code O = Y * sigmoid(G)}.
 *
 * {@snippet file="io/github/gatedattention/examples/ExamplesTest.java" region="prefill"}
 *
 * <p>{@link io.github.gatedattention.Tensor} views off-heap memory that the caller owns, {@link
 * io.github.gatedattention.Gate} and {@link io.github.gatedattention.Mask} say what is computed, {@link
 * io.github.gatedattention.GatedAttention} computes it and {@link io.github.gatedattention.Operands} lists the shapes.
 * Nothing is copied on the way, and a call on the {@code cpu} backend that nobody records allocates nothing.
 *
 * <p>Wrong arguments throw {@link java.lang.IllegalArgumentException}, closed things {@link
 * java.lang.IllegalStateException}, memory of another thread {@link java.lang.WrongThreadException}, and native failures
 * {@link io.github.gatedattention.GatedAttentionException}: always before anything is written.
 *
 * <p>Native kernels need {@code --enable-native-access=io.github.gatedattention.bindings} on the module path, or {@code
 * --enable-native-access=ALL-UNNAMED} on the class path.
 */
@NullMarked
package io.github.gatedattention;

import org.jspecify.annotations.NullMarked;
