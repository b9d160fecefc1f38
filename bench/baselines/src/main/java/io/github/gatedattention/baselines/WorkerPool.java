package io.github.gatedattention.baselines;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/**
 * A few threads that run one task together with the caller, without allocating.
 *
 * <p>A parallel stream would do, but it allocates per call and takes tens of microseconds to start, which a
 * decode step would feel. Workers spin for about as long as a gap between two calls, then park.
 */
final class WorkerPool implements AutoCloseable {
    /** What all threads run at once; it claims its own share of the work. */
    interface Task {
        void run(int thread);
    }

    private static final int SPINS_BEFORE_PARK = 20_000;

    private final Worker[] workers;
    private final AtomicInteger running = new AtomicInteger();
    private final AtomicInteger generation = new AtomicInteger(); // counts tasks
    private volatile boolean closed;
    private Task task = thread -> {};
    private volatile Throwable failure;

    /** Starts {@code threads - 1} daemon threads; the caller of {@link #run} is the remaining one. */
    WorkerPool(int threads) {
        if (threads < 1) {
            throw new IllegalArgumentException("threads is " + threads + "; it must be at least 1");
        }
        workers = new Worker[threads - 1];
        for (int i = 0; i < workers.length; i++) {
            workers[i] = new Worker(i + 1);
            workers[i].start();
        }
    }

    int threads() {
        return workers.length + 1;
    }

    /** Runs the task on every thread and returns when all are done. */
    void run(Task next) {
        if (closed) {
            throw new IllegalStateException("the attention was closed; create another one");
        }
        task = next;
        running.set(workers.length);
        generation.incrementAndGet(); // last: a worker that sees it sees the task too
        for (Worker worker : workers) {
            if (worker.parked) {
                LockSupport.unpark(worker);
            }
        }
        try {
            next.run(0);
        } finally {
            for (int spins = 0; running.get() > 0; spins++) {
                pause(spins);
            }
        }
        Throwable thrown = failure;
        if (thrown != null) {
            failure = null;
            throw new IllegalStateException("a worker thread failed", thrown);
        }
    }

    @Override
    public void close() {
        closed = true;
        for (Worker worker : workers) {
            LockSupport.unpark(worker);
        }
    }

    @SuppressWarnings("ThreadPriorityCheck") // yields only where there are more threads than processors
    private static void pause(int spins) {
        if (spins < SPINS_BEFORE_PARK) {
            Thread.onSpinWait();
        } else {
            Thread.yield();
        }
    }

    private final class Worker extends Thread {
        private final int index;
        private volatile boolean parked;

        Worker(int index) {
            super("baseline-attention-" + index);
            this.index = index;
            setDaemon(true);
        }

        @Override
        public void run() {
            int seen = 0;
            while (awaitNext(seen)) {
                seen = generation.get();
                try {
                    task.run(index);
                } catch (Throwable t) {
                    failure = t;
                } finally {
                    running.decrementAndGet();
                }
            }
        }

        /** Waits until a task newer than {@code seen} is there; false when the pool was closed instead. */
        private boolean awaitNext(int seen) {
            for (int spins = 0; generation.get() == seen && !closed; spins++) {
                if (spins < SPINS_BEFORE_PARK) {
                    Thread.onSpinWait();
                    continue;
                }
                parked = true; // before the last look at generation, so that no wake-up is lost
                if (generation.get() == seen && !closed) {
                    LockSupport.park(WorkerPool.this);
                }
                parked = false;
            }
            return generation.get() != seen;
        }
    }
}
