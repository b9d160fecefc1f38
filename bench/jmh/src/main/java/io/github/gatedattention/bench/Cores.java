package io.github.gatedattention.bench;

import java.util.ArrayList;
import java.util.List;

/** Wakes the cores: on many machines the first 0.2 s of work on a second core run slow. */
final class Cores {
    private static final long BUSY_NANOS = 400_000_000;

    private Cores() {}

    /** Keeps as many threads busy for a moment. */
    static void warm(int threads) throws InterruptedException {
        long end = System.nanoTime() + BUSY_NANOS;
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
