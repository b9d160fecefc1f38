package io.github.gatedattention.bench.sidebyside;

import java.util.Arrays;
import java.util.concurrent.TimeUnit;

/** The loops that time one implementation: every call on its own, or a few together where a clock would disturb. */
final class TimedCalls {
    /** Shorter calls are timed several at once: reading the clock takes some 20 ns. */
    private static final double SHORT_NANOS = 10_000;

    private static final double SAMPLE_NANOS = 50_000;

    /** A call that takes longer is not warmed up again in every turn. */
    private static final double LONG_NANOS = 250e6;

    /** C2 has compiled what is called so often for so long; native libraries have found their memory before that. */
    private static final int WARM_CALLS = 20;

    private static final long WARM_NANOS = 300_000_000;
    private static final long MOST_WARM_NANOS = 1_500_000_000;

    private TimedCalls() {}

    /** Calls until everything is compiled; returns how long the last call took. */
    static double warmUp(Runnable call) {
        long begin = System.nanoTime();
        long now = begin;
        double last = 0;
        for (int calls = 0;
                now - begin < MOST_WARM_NANOS && (calls < WARM_CALLS || now - begin < WARM_NANOS);
                calls++) {
            call.run();
            long end = System.nanoTime();
            last = end - now;
            now = end;
        }
        return last;
    }

    /** One turn; {@code nanos} is about how long a call takes. */
    static Protocol.Timed measure(Runnable call, Protocol.Turn turn, double nanos) {
        int together = nanos < SHORT_NANOS ? (int) Math.ceil(SAMPLE_NANOS / Math.max(nanos, 1)) : 1;
        if (nanos < LONG_NANOS) {
            warm(call, TimeUnit.MILLISECONDS.toNanos(turn.warmMillis()));
        }
        long enough = TimeUnit.MILLISECONDS.toNanos(turn.turnMillis());
        long most = TimeUnit.MILLISECONDS.toNanos(turn.mostMillis());
        double[] samples = new double[1024];
        int count = 0;
        long begin = System.nanoTime();
        for (long spent = 0; spent < most && (spent < enough || count < turn.leastCalls()); ) {
            long start = System.nanoTime();
            for (int i = 0; i < together; i++) {
                call.run();
            }
            long end = System.nanoTime();
            if (count == samples.length) {
                samples = Arrays.copyOf(samples, 2 * count);
            }
            samples[count++] = (double) (end - start) / together;
            spent = end - begin;
        }
        return new Protocol.Timed((long) count * together, Statistics.median(Arrays.copyOf(samples, count)));
    }

    private static void warm(Runnable call, long nanos) {
        long begin = System.nanoTime();
        do {
            call.run();
        } while (System.nanoTime() - begin < nanos);
    }
}
