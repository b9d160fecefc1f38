/**
 * Causal, grouped, elementwise sigmoid-gated attention over {@code float[]}, three times: as a Java
 * programmer would write it ({@link io.github.gatedattention.baselines.PlainJavaAttention}), as fast
 * as the Vector API allows ({@link io.github.gatedattention.baselines.VectorApiAttention}), and in
 * float64 ({@link io.github.gatedattention.baselines.Float64Reference}).
 *
 * <p>They are there to be compared with, in the demo and in the benchmarks. They compute
 * {@code O = softmax(Q Kᵀ / sqrt(D)) V * sigmoid(G)} and nothing else.
 */
package io.github.gatedattention.baselines;
