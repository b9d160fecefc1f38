package io.github.gatedattention.bench.peers;

/** One implementation, ready to compute one workload over and over with the same operands. */
public interface Peer extends AutoCloseable {
    /** Computes gated attention once; the only thing that is timed. */
    void forward();

    /** {@return a copy of the last result, [B, Sq, Hq, D]} */
    float[] output();

    @Override
    void close();
}
