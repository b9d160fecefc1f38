package io.github.gatedattention.soak;

import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.InstructionSet;
import io.github.gatedattention.SharedRuntime;
import io.github.gatedattention.testing.Target;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.LongAdder;

/**
 * Mixed load for so many seconds: platform and virtual threads prefill, decode on contiguous, paged and int8 caches, fork and
 * free, merge, and open and close runtimes and caches. All results have the bits that were known before; memory stays flat.
 *
 * <p>Flat means: after a warm-up, in which code is compiled and memory is found for as many calls as ever run at once, neither the
 * process's resident memory nor the runtime's scratch memory is larger at the end than at the beginning, by more than
 * {@link #RESIDENT_TOLERANCE} and {@link #SCRATCH_TOLERANCE}. The JVM's heap has a fixed size and is touched before, so what may still grow is compiled code and what malloc
 * keeps back; both end. Some thousand steps are made per second: a loss of a hundred bytes in each would be seen in minutes.
 */
public final class Soak {
    private static final int PLATFORM_THREADS = 3;
    private static final int VIRTUAL_THREADS = 4;
    private static final long RESIDENT_TOLERANCE = 16L << 20;
    /** A call has some 0.3 MiB; how many run at the same time at most may be found out late. */
    private static final long SCRATCH_TOLERANCE = 2L << 20;

    private static final long SAMPLE_MILLIS = 100;

    private Soak() {}

    public static void main(String[] arguments) throws Exception {
        long seconds = Long.parseLong(arguments[0]);
        long warmUp = Math.clamp(seconds / 4, 1, 60);
        Target best = Target.cpu().getLast();
        InstructionSet cap = best.instructionSet();
        try (var load = new Load();
                var runtime = new SharedRuntime(2, cap);
                ExecutorService kernels = Executors.newFixedThreadPool(2);
                GatedAttention direct = Streams.attention(best).build();
                GatedAttention handedOver =
                        Streams.attention(best).executor(kernels).build()) {
            LongAdder steps = new LongAdder();
            long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(seconds);
            List<Thread> threads = new ArrayList<>();
            for (int n = 0; n < PLATFORM_THREADS + VIRTUAL_THREADS; n++) {
                int number = n;
                boolean platform = n < PLATFORM_THREADS;
                Runnable work = () -> work(load, number, number % 2 == 0 ? direct : handedOver, until, steps);
                threads.add(platform ? Thread.ofPlatform().start(work) : Thread.startVirtualThread(work));
            }
            List<Long> resident = new ArrayList<>();
            List<Long> scratch = new ArrayList<>();
            long begin = System.nanoTime();
            long nextReport = TimeUnit.MINUTES.toNanos(1);
            while (threads.stream().anyMatch(Thread::isAlive) && System.nanoTime() - until < 0) {
                Thread.sleep(SAMPLE_MILLIS);
                long elapsed = System.nanoTime() - begin;
                if (elapsed > TimeUnit.SECONDS.toNanos(warmUp)) {
                    resident.add(residentBytes());
                    scratch.add(runtime.workspaceBytes());
                }
                if (elapsed > nextReport) {
                    nextReport += TimeUnit.MINUTES.toNanos(1);
                    System.out.printf(
                            Locale.ROOT,
                            "%d s: %.1f MiB resident, %.2f MiB of scratch memory%n",
                            TimeUnit.NANOSECONDS.toSeconds(elapsed),
                            residentBytes() / 0x1p20,
                            runtime.workspaceBytes() / 0x1p20);
                }
            }
            for (Thread thread : threads) {
                thread.join();
            }
            boolean right = load.failure.get() == null;
            if (!right) {
                load.failure.get().printStackTrace(System.out);
            }
            boolean empty = load.shared.stream().allMatch(each -> each.cache().pagesInUse() == 0);
            System.out.printf(
                    Locale.ROOT,
                    "%d s: %d steps, %d refused for want of room%s%n",
                    seconds,
                    steps.sum(),
                    load.refused.sum(),
                    empty ? "" : "; PAGES ARE STILL IN USE");
            boolean flat = isFlat("resident memory", resident, RESIDENT_TOLERANCE)
                    & isFlat("scratch memory", scratch, SCRATCH_TOLERANCE);
            System.out.println(right && empty && flat ? "all right" : "FAILED");
            System.exit(right && empty && flat ? 0 : 1);
        }
    }

    private static void work(Load load, int number, GatedAttention attention, long until, LongAdder steps) {
        try (Arena arena = Arena.ofShared()) {
            Worker worker = new Worker(load, number, arena, attention);
            worker.run(until);
            steps.add(worker.steps);
        } catch (Throwable e) {
            load.failure.compareAndSet(null, e);
        }
    }

    /** Compares the medians of the first and the last fifth: single readings meet a runtime that is just open. */
    private static boolean isFlat(String what, List<Long> bytes, long tolerance) {
        int fifth = bytes.size() / 5;
        if (fifth == 0) {
            System.out.println(what + ": too few readings, " + bytes.size());
            return false;
        }
        long first = median(bytes.subList(0, fifth));
        long last = median(bytes.subList(bytes.size() - fifth, bytes.size()));
        boolean flat = last - first <= tolerance;
        System.out.printf(
                Locale.ROOT,
                "%s: %.2f MiB after the warm-up, %.2f MiB at the end, %+.2f MiB of %.0f allowed%s%n",
                what,
                first / 0x1p20,
                last / 0x1p20,
                (last - first) / 0x1p20,
                tolerance / 0x1p20,
                flat ? "" : ": NOT FLAT");
        return flat;
    }

    private static long median(List<Long> values) {
        long[] sorted = values.stream().mapToLong(Long::longValue).toArray();
        Arrays.sort(sorted);
        return sorted[sorted.length / 2];
    }

    private static long residentBytes() throws IOException {
        for (String line : Files.readAllLines(Path.of("/proc/self/status"))) {
            if (line.startsWith("VmRSS:")) {
                return Long.parseLong(line.replaceAll("\\D", "")) << 10;
            }
        }
        throw new IllegalStateException("/proc/self/status has no VmRSS");
    }
}
