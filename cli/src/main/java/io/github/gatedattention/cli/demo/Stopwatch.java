package io.github.gatedattention.cli.demo;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/**
 * How long to warm up and to measure. The median counts: on a shared machine the mean is as bad as its worst neighbor.
 *
 * @param warmSeconds how long to run before measuring, at least one run; a second core needs some 0.2 s, a compiler more
 * @param seconds after how long to stop measuring
 * @param runs after how many runs to stop
 */
record Stopwatch(double warmSeconds, double seconds, int runs) {
    private static final double NANO = 1e-9;

    /** The median of a run, in seconds. */
    double median(Runnable run) {
        long start = System.nanoTime();
        do {
            run.run();
        } while (since(start) < warmSeconds);
        List<Double> times = new ArrayList<>();
        start = System.nanoTime();
        do {
            long before = System.nanoTime();
            run.run();
            times.add(since(before));
        } while (times.size() < runs && since(start) < seconds);
        Collections.sort(times);
        return times.get(times.size() / 2);
    }

    private static double since(long start) {
        return (System.nanoTime() - start) * NANO;
    }
}
