package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.ArrayList;
import java.util.List;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@Timeout(60)
class HelperThreadsTest {
    private static final int TASKS = 64;
    private static final int JOBS = 3000;

    /** Counts to {@link #TASKS} with whoever helps. */
    private static final class Counting implements HelperThreads.Job {
        final AtomicInteger next = new AtomicInteger();
        final AtomicInteger done = new AtomicInteger();
        final Set<Thread> entered = ConcurrentHashMap.newKeySet();
        final AtomicInteger inside = new AtomicInteger();
        final ConcurrentLinkedQueue<String> wrong = new ConcurrentLinkedQueue<>();

        @Override
        public void work() {
            if (!entered.add(Thread.currentThread())) {
                wrong.add("a thread came twice");
            }
            inside.incrementAndGet();
            while (next.getAndIncrement() < TASKS) {
                done.incrementAndGet();
            }
            inside.decrementAndGet();
        }

        void check(int threads) {
            assertThat(wrong).isEmpty();
            assertThat(done).hasValue(TASKS);
            assertThat(inside).as("threads that still touch the job").hasValue(0);
            assertThat(entered.size()).isBetween(1, threads);
        }
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 5})
    void everyJobIsDoneWhenRunReturns(int threads) {
        try (HelperThreads helpers = new HelperThreads(threads)) {
            for (int n = 0; n < JOBS; n++) {
                Counting job = new Counting();
                helpers.run(job, true);
                job.check(threads);
            }
        }
    }

    /** The same object as the next job: nobody takes it for the last one. */
    @Test
    void aJobThatComesAgain() {
        try (HelperThreads helpers = new HelperThreads(3)) {
            Counting job = new Counting();
            for (int n = 0; n < JOBS; n++) {
                job.next.set(0);
                job.done.set(0);
                job.entered.clear();
                helpers.run(job, true);
                job.check(3);
            }
        }
    }

    @Test
    void aSecondCallerWorksAlone() throws InterruptedException {
        ConcurrentLinkedQueue<Throwable> failures = new ConcurrentLinkedQueue<>();
        try (HelperThreads helpers = new HelperThreads(3)) {
            List<Thread> callers = new ArrayList<>();
            for (int caller = 0; caller < 4; caller++) {
                callers.add(Thread.ofPlatform().start(() -> {
                    try {
                        for (int n = 0; n < JOBS; n++) {
                            Counting job = new Counting();
                            helpers.run(job, true);
                            job.check(3);
                        }
                    } catch (Throwable e) {
                        failures.add(e);
                    }
                }));
            }
            for (Thread caller : callers) {
                caller.join();
            }
        }
        assertThat(failures).isEmpty();
    }

    @Test
    void withoutHelpAndOnceClosedOnlyTheCallerWorks() {
        HelperThreads helpers = new HelperThreads(4);
        Counting alone = new Counting();
        helpers.run(alone, false);
        assertThat(alone.entered).containsExactly(Thread.currentThread());
        helpers.close();
        helpers.close();
        Counting late = new Counting();
        helpers.run(late, true);
        late.check(1);
        assertThat(late.entered).containsExactly(Thread.currentThread());
    }
}
