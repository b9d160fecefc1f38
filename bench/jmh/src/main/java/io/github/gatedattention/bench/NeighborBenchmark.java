package io.github.gatedattention.bench;

import io.github.gatedattention.bench.peers.Implementation;
import io.github.gatedattention.bench.peers.Peer;
import java.io.IOException;
import java.util.concurrent.TimeUnit;
import org.jspecify.annotations.Nullable;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Param;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * This library with as many threads as there are processors, while somebody else uses one of these. What the neighbor takes is one
 * processor at most: {@link Neighbor#BUSY} is to be held against {@link Neighbor#ONE_THREAD_LESS}, where nobody uses the last one.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 5, time = 400, timeUnit = TimeUnit.MILLISECONDS)
@SuppressWarnings("NullAway.Init") // JMH calls open() first
public class NeighborBenchmark {
    /** Who else is there. */
    public enum Neighbor {
        /** Nobody. */
        NONE,
        /** Nobody, and one thread less. */
        ONE_THREAD_LESS,
        /** A process that spins on the last processor. */
        BUSY
    }

    /** The shape; a name of its own, since these rows belong in no table of shapes. */
    @Param({"S1024", "S128", "DECODE_4096"})
    public Workload shape = Workload.S1024;

    /** Who else is there. */
    @Param
    public Neighbor neighbor = Neighbor.NONE;

    private Peer peer;
    private @Nullable Process spinning;

    /** Starts the neighbor last. */
    @Setup
    public void open() throws Exception {
        int processors = Runtime.getRuntime().availableProcessors();
        int threads = neighbor == Neighbor.ONE_THREAD_LESS ? Math.max(1, processors - 1) : processors;
        Implementation library = Implementation.GATED_ATTENTION_BF16;
        peer = library.create(Inputs.of(shape, library.precision()), threads);
        peer.forward();
        Cores.warm(processors);
        if (neighbor == Neighbor.BUSY) {
            spinning = spin(processors - 1);
        }
    }

    /** {@code taskset} is of util-linux, which every distribution has. */
    private static Process spin(int processor) throws IOException {
        return new ProcessBuilder("taskset", "-c", Integer.toString(processor), "sh", "-c", "while :; do :; done")
                .start();
    }

    /** Ends the neighbor. */
    @TearDown
    public void close() {
        if (spinning != null) {
            spinning.destroyForcibly();
        }
        peer.close();
    }

    /** One call. */
    @Benchmark
    public void forward() {
        peer.forward();
    }
}
