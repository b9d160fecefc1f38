package io.github.gatedattention.child;

import io.github.gatedattention.Activation;
import io.github.gatedattention.Combination;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.reference.Expected;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.ConcurrentLinkedQueue;

/** A few calls on every target from several threads, while another thread keeps the collector busy. */
public final class JvmRow {
    private static final Setting SETTING = Setting.causal(32).withGate(Activation.SIGMOID, Combination.MULTIPLY);
    private static final Sample.Shape[] SHAPES = {
        new Sample.Shape(1, 17, 17, 2, 1, 32, 32), new Sample.Shape(1, 1, 300, 2, 1, 32, 32)
    };
    private static final int THREADS = 4;
    private static final int CALLS = 3;
    private static final int GARBAGE_BYTES = 1 << 20;

    private JvmRow() {}

    public static void main(String[] arguments) throws InterruptedException {
        ConcurrentLinkedQueue<String> wrong = new ConcurrentLinkedQueue<>();
        Thread collector = Thread.ofPlatform().daemon().start(JvmRow::keepTheCollectorBusy);
        for (DataType type : new DataType[] {DataType.F32, DataType.BF16, DataType.F16}) {
            List<Expected> expected = expected(type);
            for (Target target : Target.all().toList()) {
                List<Thread> threads = new ArrayList<>();
                for (int n = 0; n < THREADS; n++) {
                    Thread.Builder builder = n % 2 == 0 ? Thread.ofPlatform() : Thread.ofVirtual();
                    threads.add(builder.start(() -> calls(target, type, expected, wrong)));
                }
                for (Thread thread : threads) {
                    thread.join();
                }
            }
        }
        collector.interrupt();
        wrong.forEach(System.out::println);
        System.out.println(wrong.isEmpty() ? "all right" : "wrong: " + wrong.size());
        System.exit(wrong.isEmpty() ? 0 : 1);
    }

    /** Per shape; the interpreter takes its time over float64, so all targets share it. */
    private static List<Expected> expected(DataType type) {
        List<Expected> expected = new ArrayList<>();
        for (Sample.Shape shape : SHAPES) {
            try (Arena arena = Arena.ofConfined()) {
                expected.add(Sample.of(arena, SETTING, type, shape).expected());
            }
        }
        return expected;
    }

    private static void calls(
            Target target, DataType type, List<Expected> expected, ConcurrentLinkedQueue<String> wrong) {
        for (int shape = 0; shape < SHAPES.length; shape++) {
            String what = target + " " + type + " " + SHAPES[shape] + ": ";
            try (Arena arena = Arena.ofShared()) {
                Sample sample = Sample.of(arena, SETTING, type, SHAPES[shape]);
                for (int n = 0; n < CALLS; n++) {
                    sample.spoilOutputs();
                    try (GatedAttention attention = sample.builder(target).build()) {
                        attention.forward(sample.operands());
                    }
                    String difference = sample.compare(expected.get(shape));
                    if (difference != null) {
                        wrong.add(what + difference);
                    }
                }
            } catch (Throwable e) {
                wrong.add(what + e);
            }
        }
    }

    private static void keepTheCollectorBusy() {
        List<byte[]> kept = new ArrayList<>();
        try {
            while (true) {
                kept.add(new byte[GARBAGE_BYTES]);
                if (kept.size() > 64) {
                    kept.clear();
                    System.gc();
                }
                Thread.sleep(2);
            }
        } catch (InterruptedException e) {
            // Enough.
        }
    }
}
