package io.github.gatedattention;

import java.util.HashMap;
import java.util.Map;

/**
 * Helpers and scratch memory of calls on vectors. All engines with the same number of threads share them, so that a
 * model with many layers has one set; the last to release it ends the helpers.
 */
final class VectorRuntime {
    private static final Map<Integer, VectorRuntime> OPEN = new HashMap<>();

    private final int threads;
    private final HelperThreads helpers;
    private final SlotPool<VectorCall> calls;
    private int users; // guarded by OPEN

    private VectorRuntime(int threads) {
        this.threads = threads;
        this.helpers = new HelperThreads(threads);
        this.calls = new SlotPool<>(() -> new VectorCall(threads));
    }

    static VectorRuntime acquire(int threads) {
        synchronized (OPEN) {
            VectorRuntime runtime = OPEN.computeIfAbsent(threads, VectorRuntime::new);
            runtime.users++;
            return runtime;
        }
    }

    void release() {
        synchronized (OPEN) {
            if (--users > 0) {
                return;
            }
            OPEN.remove(threads);
        }
        helpers.close();
    }

    HelperThreads helpers() {
        return helpers;
    }

    SlotPool<VectorCall> calls() {
        return calls;
    }
}
