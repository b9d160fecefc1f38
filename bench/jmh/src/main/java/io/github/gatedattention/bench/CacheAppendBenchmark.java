package io.github.gatedattention.bench;

import io.github.gatedattention.DataType;
import io.github.gatedattention.KvCache;
import io.github.gatedattention.Tensor;
import java.lang.foreign.Arena;
import java.util.Random;
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

/** What a serving program pays per layer and step beside attention: a token's key and value, 8 heads of D 128, go to a paged cache. */
@State(Scope.Benchmark)
@BenchmarkMode(Mode.AverageTime)
@OutputTimeUnit(TimeUnit.MICROSECONDS)
@Fork(1)
@Warmup(iterations = 2, time = 500, timeUnit = TimeUnit.MILLISECONDS)
@Measurement(iterations = 5, time = 200, timeUnit = TimeUnit.MILLISECONDS)
@SuppressWarnings("NullAway.Init") // JMH calls open() first
public class CacheAppendBenchmark {
    private static final int HEADS = 8;
    private static final int DIM = 128;
    private static final int LONGEST = 1024;

    /** The type of the tokens. */
    @Param({"F32", "BF16"})
    public DataType tokens = DataType.F32;

    /** The type of the cache. */
    @Param({"BF16", "I8"})
    public DataType cached = DataType.I8;

    /** Sequences that get a token each. */
    @Param({"1", "8"})
    public int batch = 1;

    private final Arena arena = Arena.ofShared();
    private KvCache cache;
    private Tensor k;
    private Tensor v;
    private long[] ids;

    /** Makes a cache with room for all. */
    @Setup
    public void open() {
        cache = KvCache.paged(batch * LONGEST / 16, 16)
                .keyValueHeads(HEADS)
                .headDim(DIM)
                .dataType(cached)
                .build();
        Random random = new Random(1);
        float[] values = new float[batch * HEADS * DIM];
        for (int n = 0; n < values.length; n++) {
            values[n] = (float) random.nextGaussian();
        }
        k = Tensor.copyOf(arena, tokens, values, batch, 1, HEADS, DIM);
        v = Tensor.copyOf(arena, tokens, values, batch, 1, HEADS, DIM);
        ids = new long[batch];
        for (int b = 0; b < batch; b++) {
            ids[b] = cache.allocate();
        }
    }

    /** Gives the memory back. */
    @TearDown
    public void close() {
        cache.close();
        arena.close();
    }

    /** A step; sequences that are full begin anew. */
    @Benchmark
    public void append() {
        if (cache.length(ids[0]) == LONGEST) {
            for (long id : ids) {
                cache.truncate(id, 0);
            }
        }
        cache.append(ids, k, v);
    }
}
