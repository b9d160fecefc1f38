package io.github.gatedattention.bindings.probe;

import io.github.gatedattention.bindings.NativeLibrary;
import java.util.ArrayList;
import java.util.Collections;
import java.util.IdentityHashMap;
import java.util.List;
import java.util.Set;
import java.util.concurrent.CountDownLatch;

/** Asks for the library from many platform and virtual threads at the same moment, and counts the answers. */
public final class ThreadsProbe {

    private static final int THREADS = 64;

    private ThreadsProbe() {}

    public static void main(String[] arguments) throws InterruptedException {
        Set<NativeLibrary.State> answers =
                Collections.synchronizedSet(Collections.newSetFromMap(new IdentityHashMap<>()));
        CountDownLatch start = new CountDownLatch(1);
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < THREADS; i++) {
            Thread.Builder builder = i % 2 == 0 ? Thread.ofPlatform() : Thread.ofVirtual();
            threads.add(builder.start(() -> {
                try {
                    start.await();
                    answers.add(NativeLibrary.state());
                } catch (InterruptedException e) {
                    Thread.currentThread().interrupt();
                }
            }));
        }
        start.countDown();
        for (Thread thread : threads) {
            thread.join();
        }
        System.out.println("answers=" + answers.size());
        StateProbe.print("", answers.iterator().next());
    }
}
