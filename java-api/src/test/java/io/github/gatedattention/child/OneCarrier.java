package io.github.gatedattention.child;

import io.github.gatedattention.Activation;
import io.github.gatedattention.Backend;
import io.github.gatedattention.Combination;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.atomic.AtomicBoolean;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.locks.LockSupport;

/**
 * Virtual threads on one carrier: while one of them is in a long call, others go on with an executor, and stand
 * still without one where the call is native; then a thousand call at once.
 */
public final class OneCarrier {
    private static final Setting SETTING = Setting.causal(64).withGate(Activation.SIGMOID, Combination.MULTIPLY);
    private static final Sample.Shape SMALL = new Sample.Shape(1, 7, 33, 4, 2, 64, 64);
    private static final int CALLERS = 1000;
    private static final long TURN_NANOS = 100_000;

    private OneCarrier() {}

    public static void main(String[] arguments) throws InterruptedException {
        Target target = Target.backends().findFirst().orElseThrow();
        boolean isJava = target.backend().name().equals(Backend.java().name());
        int length = isJava ? 500 : 2000;
        Sample.Shape large = new Sample.Shape(1, length, length, 8, 2, 64, 64);
        try (ExecutorService platform = Executors.newFixedThreadPool(2);
                Arena arena = Arena.ofShared()) {
            Sample sample = Sample.of(arena, SETTING, DataType.F32, large);
            try (GatedAttention held = sample.builder(target).build();
                    GatedAttention handed =
                            sample.builder(target).executor(platform).build()) {
                int without = turnsDuring(() -> held.forward(sample.operands()));
                int with = turnsDuring(() -> handed.forward(sample.operands()));
                System.out.println("turns of another thread: " + without + " without an executor, " + with + " with");
                // In Java a call parks now and then, waiting for its helpers.
                if (with == 0 || (without != 0 && !isJava)) {
                    System.exit(1);
                }
            }
            thousandCallers(target, platform, arena);
        }
        System.out.println("all right");
    }

    /** How often another virtual thread had the carrier while one was in a call. */
    private static int turnsDuring(Runnable call) throws InterruptedException {
        AtomicBoolean calling = new AtomicBoolean();
        AtomicBoolean ended = new AtomicBoolean();
        AtomicInteger turns = new AtomicInteger();
        Thread other = Thread.ofVirtual().start(() -> {
            while (!ended.get()) {
                if (calling.get()) {
                    turns.incrementAndGet();
                }
                LockSupport.parkNanos(TURN_NANOS); // a thread that only yields can starve the others of its carrier
            }
        });
        Thread caller = Thread.ofVirtual().start(() -> {
            calling.set(true);
            try {
                call.run();
            } finally {
                calling.set(false);
                ended.set(true);
            }
        });
        caller.join();
        other.join();
        return turns.get();
    }

    private static void thousandCallers(Target target, ExecutorService platform, Arena arena)
            throws InterruptedException {
        Sample sample = Sample.of(arena, SETTING, DataType.F32, SMALL);
        ConcurrentLinkedQueue<String> wrong = new ConcurrentLinkedQueue<>();
        try (GatedAttention attention =
                sample.builder(target).executor(platform).build()) {
            attention.forward(sample.operands());
            byte[] expected = sample.outputBytes();
            List<Thread> callers = new ArrayList<>();
            for (int n = 0; n < CALLERS; n++) {
                callers.add(Thread.ofVirtual().start(() -> {
                    try {
                        Sample own = sample.with(ownOutputs(sample.operands(), arena));
                        attention.forward(own.operands());
                        if (!Arrays.equals(own.outputBytes(), expected)) {
                            wrong.add("another result");
                        }
                    } catch (Throwable e) {
                        wrong.add(e.toString());
                    }
                }));
            }
            for (Thread caller : callers) {
                caller.join();
            }
        }
        if (!wrong.isEmpty()) {
            System.out.println(wrong.size() + " of " + CALLERS + " wrong: " + wrong.peek());
            System.exit(1);
        }
    }

    private static Operands ownOutputs(Operands o, Arena arena) {
        return Operands.of(
                        o.q(),
                        o.k(),
                        o.v(),
                        o.gate(),
                        Tensor.allocate(arena, DataType.F32, o.out().shape()))
                .withLse(Tensor.allocate(arena, DataType.F32, o.lse().shape()));
    }
}
