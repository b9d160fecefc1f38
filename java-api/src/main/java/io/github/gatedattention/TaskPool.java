package io.github.gatedattention;

import java.util.concurrent.CountDownLatch;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.ThreadPoolExecutor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicLong;
import java.util.concurrent.atomic.AtomicReference;
import java.util.function.LongConsumer;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** Runs numbered tasks on the calling thread and some helpers, which end by themselves when idle. */
final class TaskPool implements AutoCloseable {
    private static final long IDLE_SECONDS = 5;

    private final int helpers;
    private final @Nullable ThreadPoolExecutor executor;

    TaskPool(int threads) {
        helpers = threads - 1;
        executor = helpers == 0 ? null : newExecutor(helpers);
    }

    private static ThreadPoolExecutor newExecutor(int threads) {
        ThreadPoolExecutor pool = new ThreadPoolExecutor(
                threads,
                threads,
                IDLE_SECONDS,
                TimeUnit.SECONDS,
                new LinkedBlockingQueue<>(),
                Thread.ofPlatform().daemon().name("gated-attention-", 0).factory());
        pool.allowCoreThreadTimeOut(true);
        return pool;
    }

    /**
     * Runs tasks 0 to {@code tasks - 1}, each once, in rising order of their start, and returns when all are done.
     *
     * @param help whether helpers may take tasks too
     * @param newWorker makes what a thread runs its tasks with; called once per thread that finds a task
     * @throws RuntimeException the first failure of a task; the tasks that had not started are then left out
     */
    void run(long tasks, boolean help, Supplier<LongConsumer> newWorker) {
        if (tasks == 0) {
            return;
        }
        Job job = new Job(tasks, newWorker);
        if (executor != null && help) {
            try {
                for (long n = 1; n <= helpers && n < tasks; n++) {
                    executor.execute(job);
                }
            } catch (RejectedExecutionException e) {
                // Closed meanwhile: the calling thread does the work that nobody else took.
            }
        }
        job.run();
        job.await();
    }

    @Override
    public void close() {
        if (executor != null) {
            executor.shutdown();
        }
    }

    /** One set of tasks. A helper that comes late finds nothing left and touches nothing. */
    private static final class Job implements Runnable {
        private final long tasks;
        private final Supplier<LongConsumer> newWorker;
        private final AtomicLong next = new AtomicLong();
        private final AtomicLong unfinished;
        private final CountDownLatch done = new CountDownLatch(1);
        private final AtomicReference<@Nullable Throwable> failure = new AtomicReference<>();

        Job(long tasks, Supplier<LongConsumer> newWorker) {
            this.tasks = tasks;
            this.newWorker = newWorker;
            this.unfinished = new AtomicLong(tasks);
        }

        @Override
        public void run() {
            LongConsumer worker = null;
            for (long task = next.getAndIncrement(); task < tasks; task = next.getAndIncrement()) {
                try {
                    if (failure.get() == null) {
                        worker = worker != null ? worker : newWorker.get();
                        worker.accept(task);
                    }
                } catch (RuntimeException | Error e) {
                    failure.compareAndSet(null, e);
                } finally {
                    if (unfinished.decrementAndGet() == 0) {
                        done.countDown();
                    }
                }
            }
        }

        void await() {
            boolean interrupted = false;
            while (true) {
                try {
                    done.await();
                    break;
                } catch (InterruptedException e) {
                    interrupted = true; // helpers still write to the caller's memory, so leaving now is no option
                }
            }
            if (interrupted) {
                Thread.currentThread().interrupt();
            }
            switch (failure.get()) {
                case RuntimeException e -> throw e;
                case Error e -> throw e;
                case null, default -> {}
            }
        }
    }
}
