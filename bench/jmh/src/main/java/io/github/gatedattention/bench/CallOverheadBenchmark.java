package io.github.gatedattention.bench;

import io.github.gatedattention.Backend;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Mask;
import io.github.gatedattention.Operands;
import io.github.gatedattention.PreparedForward;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.bench.peers.BareCall;
import java.lang.foreign.Arena;
import java.util.Arrays;
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
 * What Java adds to a call: the API against a bare downcall with a prefilled struct.
 *
 * <p>The problem is the smallest there is (one head, one query, one key, D 8, one thread), so that the call itself is
 * most of the time. Average time, because a call is too short to be timed alone; several forks, because where C2
 * puts the code moves it by some nanoseconds.
 */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.NANOSECONDS)
@Fork(3)
@Warmup(iterations = 3, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 5, time = 300, timeUnit = TimeUnit.MILLISECONDS)
@SuppressWarnings("NullAway.Init") // JMH calls open() first
public class CallOverheadBenchmark {
    private static final int DIM = 8;

    private final Arena arena = Arena.ofShared();
    private GatedAttention attention;
    private Tensor q;
    private Tensor k;
    private Tensor v;
    private Tensor gate;
    private Tensor out;
    private Tensor[] keys;
    private int layer;
    private PreparedForward prepared;
    private BareCall bare;

    /** Makes the operands and both ways to call. */
    @Setup
    public void open() {
        attention = GatedAttention.builder()
                .queryHeads(1)
                .headDim(DIM)
                .mask(Mask.causal())
                .backend(Backend.cpu())
                .threads(1)
                .build();
        q = row(0.1f);
        k = row(0.2f);
        v = row(0.3f);
        gate = row(0.4f);
        out = row(0);
        keys = new Tensor[] {k, row(0.5f)};
        prepared = attention.prepare(Operands.of(q, k, v, gate, out));
        bare = new BareCall(arena, DIM, q.segment(), k.segment(), v.segment(), gate.segment(), out.segment());
    }

    private Tensor row(float value) {
        float[] values = new float[DIM];
        Arrays.fill(values, value);
        return Tensor.copyOf(arena, DataType.F32, values, 1, 1, 1, DIM);
    }

    /** Frees everything. */
    @TearDown
    public void close() {
        bare.close();
        attention.close();
        arena.close();
    }

    /** {@link GatedAttention#forward}, as users call it. */
    @Benchmark
    public void forward() {
        attention.forward(q, k, v, gate, out);
    }

    /** The same with other keys than last time, as layers that take turns have them: all views are checked anew. */
    @Benchmark
    public void forwardOtherViews() {
        layer ^= 1;
        attention.forward(q, keys[layer], v, gate, out);
    }

    /** {@link PreparedForward#run}: the checks were done before. */
    @Benchmark
    public void prepared() {
        prepared.run();
    }

    /** {@code ga_attention_forward} through the generated bindings, nothing else. */
    @Benchmark
    public int bare() {
        return bare.run();
    }
}
