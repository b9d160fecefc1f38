package io.github.gatedattention;

import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.RejectedExecutionException;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;
import org.jspecify.annotations.Nullable;

/**
 * One call that an executor's thread makes while its caller, a virtual thread, is parked and its carrier free.
 *
 * <p>The caller does not return before the call has ended or can no longer begin: what it does next, such as closing an
 * arena or reusing an output, never meets a call of its own that still runs. So interrupts wait as well.
 */
final class Handoff implements Runnable {
    /** How often a caller looks whether its executor was shut down with the call still in its queue. */
    private static final long LOOK_NANOS = TimeUnit.SECONDS.toNanos(1);

    private static final int QUEUED = 0;
    private static final int RUNNING = 1;
    private static final int ENDED = 2;
    private static final int ABANDONED = 3;

    private final AtomicInteger state = new AtomicInteger(QUEUED);
    private final Thread caller = Thread.currentThread();
    private final Runnable call;
    private final long queuedNanos = System.nanoTime();
    private long begunNanos; // written before the state that tells of it, as is the failure
    private @Nullable Throwable failure;

    private Handoff(Runnable call) {
        this.call = call;
    }

    /**
     * Makes the call on the executor and waits for it. What the call throws is thrown here.
     *
     * @return how long the call waited for a thread, in nanoseconds
     * @throws RejectedExecutionException when the executor refuses the call, or ends without having begun it
     */
    static long run(Executor executor, Runnable call) {
        Handoff handoff = new Handoff(call);
        handoff.give(executor);
        handoff.await(executor);
        handoff.throwFailure();
        return handoff.begunNanos - handoff.queuedNanos;
    }

    @Override
    public void run() {
        if (!state.compareAndSet(QUEUED, RUNNING)) {
            return; // run again, or late: the caller is gone
        }
        begunNanos = System.nanoTime();
        try {
            call.run();
        } catch (Throwable e) { // errors too: the caller is the one to hear of them
            failure = e;
        } finally {
            state.set(ENDED);
            LockSupport.unpark(caller);
        }
    }

    private void give(Executor executor) {
        try {
            executor.execute(this);
        } catch (Throwable e) {
            // It may have queued the call all the same, for example when a pool fails to start a thread.
            if (!abandon()) {
                await(executor);
            }
            if (e instanceof RejectedExecutionException rejected) {
                throw new RejectedExecutionException(
                        "the executor of this GatedAttention refused the call: " + rejected.getMessage(), rejected);
            }
            throw e;
        }
    }

    /** Whether the call has not begun, and now never will. */
    private boolean abandon() {
        return state.compareAndSet(QUEUED, ABANDONED);
    }

    private void await(Executor executor) {
        boolean interrupted = false;
        try {
            while (state.get() != ENDED) {
                if (executor instanceof ExecutorService service) {
                    LockSupport.parkNanos(this, LOOK_NANOS);
                    if (service.isTerminated() && abandon()) {
                        throw new RejectedExecutionException(
                                "the executor of this GatedAttention was shut down before it began the call");
                    }
                } else {
                    LockSupport.park(this);
                }
                interrupted |= Thread.interrupted();
            }
        } finally {
            if (interrupted) {
                caller.interrupt();
            }
        }
    }

    /** The executor's stack says nothing of who called, so the caller's goes along. */
    private void throwFailure() {
        switch (failure) {
            case null -> {}
            case RuntimeException e -> {
                e.addSuppressed(new CalledFrom());
                throw e;
            }
            case Error e -> throw e;
            default -> throw new AssertionError("a call throws no checked exceptions", failure);
        }
    }

    /** A stack trace for those who read logs. */
    private static final class CalledFrom extends RuntimeException {
        private static final long serialVersionUID = 1L;

        CalledFrom() {
            super("the call was handed to the executor by this thread, " + Thread.currentThread());
        }
    }

    @Override
    public String toString() {
        return "forward call of " + caller;
    }
}
