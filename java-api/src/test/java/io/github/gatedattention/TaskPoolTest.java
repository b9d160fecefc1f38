package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicIntegerArray;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

class TaskPoolTest {
    private static final int TASKS = 1000;

    @ParameterizedTest
    @ValueSource(ints = {1, 2, 7})
    void everyTaskRunsOnce(int threads) {
        AtomicIntegerArray runs = new AtomicIntegerArray(TASKS);
        try (TaskPool pool = new TaskPool(threads)) {
            pool.run(TASKS, true, () -> task -> runs.incrementAndGet((int) task));
            pool.run(0, true, () -> task -> runs.incrementAndGet(0));
        }
        for (int n = 0; n < TASKS; n++) {
            assertThat(runs.get(n)).isOne();
        }
    }

    @Test
    void withoutHelpOnlyTheCallerWorks() {
        Thread caller = Thread.currentThread();
        AtomicInteger strangers = new AtomicInteger();
        try (TaskPool pool = new TaskPool(4)) {
            pool.run(TASKS, false, () -> task -> {
                if (Thread.currentThread() != caller) {
                    strangers.incrementAndGet();
                }
            });
        }
        assertThat(strangers).hasValue(0);
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3})
    void theFirstFailureReachesTheCaller(int threads) {
        AtomicInteger runs = new AtomicInteger();
        try (TaskPool pool = new TaskPool(threads)) {
            assertThatThrownBy(() -> pool.run(TASKS, true, () -> task -> {
                        runs.incrementAndGet();
                        if (task == 5) {
                            throw new IllegalStateException("task 5");
                        }
                    }))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessage("task 5");
        }
        if (threads == 1) {
            assertThat(runs).as("tasks after the failure are left out").hasValue(6);
        }
    }

    @Test
    void aClosedPoolLeavesTheWorkToTheCaller() {
        AtomicInteger runs = new AtomicInteger();
        TaskPool pool = new TaskPool(3);
        pool.close();
        pool.run(TASKS, true, () -> task -> runs.incrementAndGet());
        assertThat(runs).hasValue(TASKS);
    }

    @Test
    void anInterruptIsKeptForTheCaller() {
        AtomicInteger runs = new AtomicInteger();
        Thread.currentThread().interrupt();
        try (TaskPool pool = new TaskPool(2)) {
            pool.run(TASKS, true, () -> task -> runs.incrementAndGet());
            assertThat(runs).hasValue(TASKS);
        } finally {
            assertThat(Thread.interrupted()).isTrue();
        }
    }
}
