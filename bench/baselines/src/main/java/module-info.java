/** Gated attention in Java alone: what the native library is compared with, and the float64 reference. */
module io.github.gatedattention.baselines {
    requires jdk.incubator.vector;

    exports io.github.gatedattention.baselines;
}
