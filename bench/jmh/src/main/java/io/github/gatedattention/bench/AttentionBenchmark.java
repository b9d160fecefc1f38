package io.github.gatedattention.bench;

import io.github.gatedattention.baselines.Float64Reference;
import io.github.gatedattention.bench.peers.Implementation;
import io.github.gatedattention.bench.peers.Peer;
import java.util.concurrent.TimeUnit;
import org.openjdk.jmh.annotations.Benchmark;
import org.openjdk.jmh.annotations.BenchmarkMode;
import org.openjdk.jmh.annotations.Fork;
import org.openjdk.jmh.annotations.Measurement;
import org.openjdk.jmh.annotations.Mode;
import org.openjdk.jmh.annotations.OutputTimeUnit;
import org.openjdk.jmh.annotations.Scope;
import org.openjdk.jmh.annotations.Setup;
import org.openjdk.jmh.annotations.State;
import org.openjdk.jmh.annotations.TearDown;
import org.openjdk.jmh.annotations.Warmup;

/**
 * One implementation on one workload, called over and over with the same operands.
 *
 * <p>Every call is timed on its own ({@link Mode#SampleTime}), because the median of the calls is robust against a
 * neighbor on the machine, and their mean is not.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 1500, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 5, time = 400, timeUnit = TimeUnit.MILLISECONDS)
@SuppressWarnings("NullAway.Init") // JMH calls open() first
public abstract class AttentionBenchmark {
    private Peer peer;

    /** The shape. */
    abstract Workload workload();

    /** Who computes. */
    abstract Implementation implementation();

    /** Loads the implementation, computes once and records the error of the whole output; then wakes the cores. */
    @Setup
    public void open() throws Exception {
        Inputs inputs = Inputs.of(workload(), implementation().precision());
        double[] expected = Expected.of(inputs);
        peer = implementation().create(inputs, Run.threads());
        peer.forward();
        float[] actual = peer.output();
        workload().clearPadding(actual, expected);
        ErrorProfiler.record(Float64Reference.relativeError(expected, actual));
        Cores.warm(Run.threads());
    }

    /** Unloads it. */
    @TearDown
    public void close() {
        peer.close();
    }

    /** One call. */
    @Benchmark
    public void forward() {
        peer.forward();
    }
}
