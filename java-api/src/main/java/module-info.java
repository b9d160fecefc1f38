/**
 * Gated attention on the CPU: {@code O = gate(softmax(scale * Q K^T + mask) V, G)}.
 *
 * <p>Start at {@link io.github.gatedattention.GatedAttention}.
 */
module io.github.gatedattention {
    requires io.github.gatedattention.bindings;
    requires static jdk.incubator.vector; // the pure Java backend is faster with it
    requires static jdk.jfr; // calls can be recorded with it
    requires static transitive org.jspecify;

    exports io.github.gatedattention;
}
