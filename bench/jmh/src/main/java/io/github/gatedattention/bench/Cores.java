package io.github.gatedattention.bench;

import java.time.Duration;
import java.util.ArrayList;
import java.util.List;

/** Wakes the cores: on many machines the first 0.2 s of work on a second core run slow. */
public final class Cores {
    private static final Duration FROM_IDLE = Duration.ofMillis(400);

    private Cores() {}

    /** Wakes them after a pause of any length. */
    static void warm(int threads) throws InterruptedException {
        warm(threads, FROM_IDLE);
    }

    /**
     * Keeps as many threads busy for a moment.
     *
     * @param threads how many
     * @param time how long
     */
    public static void warm(int threads, Duration time) throws InterruptedException {
        long end = System.nanoTime() + time.toNanos();
        List<Thread> busy = new ArrayList<>();
        for (int i = 0; i < threads; i++) {
            busy.add(Thread.ofPlatform().daemon().start(() -> {
                while (System.nanoTime() < end) {
                    Thread.onSpinWait();
                }
            }));
        }
        for (Thread thread : busy) {
            thread.join();
        }
    }
}
