package io.github.gatedattention.bench;

import io.github.gatedattention.bench.peers.Trainer;
import java.util.concurrent.TimeUnit;
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

/** Gated attention forward and backward, by this library and by PyTorch with its separate gate. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.SampleTime)
@OutputTimeUnit(TimeUnit.MILLISECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 1500, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 5, time = 800, timeUnit = TimeUnit.MILLISECONDS)
@SuppressWarnings("NullAway.Init") // JMH calls open() first
public class TrainingBenchmark {
    /** The shape. */
    @Param({"STEP_512", "STEP_1024", "STEP_2048"})
    public Workload workload = Workload.STEP_512;

    /** Who computes; the launcher leaves out what cannot be loaded. */
    @Param
    public Trainer.Kind trainer = Trainer.Kind.GATED_ATTENTION_F32;

    private Trainer peer;

    /** Loads the implementation, computes once and records the error of the worst gradient; then wakes the cores. */
    @Setup
    public void open() throws Exception {
        Inputs inputs = Inputs.of(workload, trainer.precision());
        TrainingExpected expected = TrainingExpected.of(inputs);
        peer = trainer.create(inputs, expected.dOut(), Run.threads());
        peer.step();
        ErrorProfiler.record(expected.worstError(peer.gradients()));
        Cores.warm(Run.threads());
    }

    /** Unloads it. */
    @TearDown
    public void close() {
        peer.close();
    }

    /** One step: the result and all gradients. */
    @Benchmark
    public void forwardAndBackward() {
        peer.step();
    }
}
