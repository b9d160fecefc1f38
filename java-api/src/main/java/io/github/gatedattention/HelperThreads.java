package io.github.gatedattention;

import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * Threads that help with a job, without allocating. They help one caller at a time; a second one that comes meanwhile
 * works alone, so nobody waits for anybody else's job. They look out for the next job for about as long as a gap between
 * two calls, then sleep, and end by themselves when idle.
 */
final class HelperThreads implements AutoCloseable {
    /** Work that each thread takes its share of until nothing is left. */
    interface Job {
        /** Called once in the calling thread and at most once in each helper; throws nothing. */
        void work();
    }

    private static final int SPINS_BEFORE_SLEEP = 20_000;
    private static final long IDLE_NANOS = TimeUnit.SECONDS.toNanos(5);

    private final @Nullable Helper[] helpers;
    private final AtomicBoolean taken = new AtomicBoolean();
    private final AtomicInteger inside = new AtomicInteger(); // helpers that may touch the job
    private final AtomicInteger generation = new AtomicInteger(); // odd while there is a job, another one for each
    private volatile @Nullable Job job;
    private volatile boolean closed;

    /** Helps callers who want {@code threads} threads in all; a helper starts when it is first wanted. */
    HelperThreads(int threads) {
        helpers = new @Nullable Helper[threads - 1];
    }

    /** Runs the job in this thread and, if they are free and {@code help} is wanted, in the helpers. */
    void run(Job next, boolean help) {
        if (!help || helpers.length == 0 || closed || !taken.compareAndSet(false, true)) {
            next.work();
            return;
        }
        try {
            job = next;
            generation.incrementAndGet(); // after the job: who sees the number sees the job
            wake();
            next.work();
        } finally {
            generation.incrementAndGet(); // before looking inside: a helper looks at the number once it is inside
            for (int spins = 0; inside.get() > 0; spins++) {
                pause(spins);
            }
            job = null;
            taken.set(false);
        }
    }

    private void wake() {
        for (int n = 0; n < helpers.length; n++) {
            Helper helper = helpers[n];
            if (helper == null || helper.ended) {
                helpers[n] = start(n);
            } else if (helper.asleep) {
                LockSupport.unpark(helper);
            }
        }
    }

    private Helper start(int n) {
        Helper helper = new Helper("gated-attention-" + n, generation.get() - 1);
        helper.start();
        return helper;
    }

    @SuppressWarnings("ThreadPriorityCheck") // yields only where there are more threads than processors
    private static void pause(int spins) {
        if (spins < SPINS_BEFORE_SLEEP) {
            Thread.onSpinWait();
        } else {
            Thread.yield();
        }
    }

    /** Lets the helpers end; callers work alone from now on. */
    @Override
    public void close() {
        closed = true;
        if (taken.compareAndSet(false, true)) { // else they notice when the job is done
            for (Helper helper : helpers) {
                LockSupport.unpark(helper);
            }
            taken.set(false);
        }
    }

    private final class Helper extends Thread {
        private int seen;
        private volatile boolean asleep;
        private volatile boolean ended;

        Helper(String name, int seen) {
            super(name);
            this.seen = seen;
            setDaemon(true);
        }

        @Override
        public void run() {
            try {
                while (awaitNext()) {
                    inside.incrementAndGet();
                    try {
                        Job next = job;
                        if (next != null && seen == generation.get()) {
                            next.work();
                        }
                    } finally {
                        inside.decrementAndGet();
                    }
                }
            } finally {
                ended = true;
            }
        }

        /** Waits for another job; false when none came for a while, or none will. */
        private boolean awaitNext() {
            for (int spins = 0; spins < SPINS_BEFORE_SLEEP; spins++) {
                if (hasNext()) {
                    return true;
                }
                Thread.onSpinWait();
            }
            long deadline = System.nanoTime() + IDLE_NANOS;
            while (!closed) {
                asleep = true; // before the last look, so that no wake-up is lost
                if (hasNext()) {
                    asleep = false;
                    return true;
                }
                LockSupport.parkNanos(HelperThreads.this, deadline - System.nanoTime());
                asleep = false;
                if (hasNext()) {
                    return true;
                }
                if (System.nanoTime() - deadline >= 0) {
                    return false;
                }
            }
            return false;
        }

        private boolean hasNext() {
            int current = generation.get();
            boolean isNew = current != seen && (current & 1) == 1;
            seen = isNew ? current : seen;
            return isNew;
        }
    }
}
