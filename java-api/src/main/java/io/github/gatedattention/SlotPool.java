package io.github.gatedattention;

import java.util.concurrent.atomic.AtomicReferenceArray;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/**
 * Reusable objects of calls, those not in use, without a lock. A thread looks first where it put its last slot; as many slots come
 * to be as calls ran at the same time, at most {@value #PLACES} are kept.
 */
final class SlotPool<T> {
    private static final int PLACES = 64;
    /** References between two places, so that threads do not share a cache line. */
    private static final int SPACING = 16;

    private final Supplier<T> maker;
    private final AtomicReferenceArray<@Nullable T> places = new AtomicReferenceArray<>(PLACES * SPACING);

    SlotPool(Supplier<T> maker) {
        this.maker = maker;
    }

    T take() {
        int first = firstPlace();
        for (int n = 0; n < PLACES; n++) {
            int at = place(first + n);
            // Looking before taking: an exchange is dear, and most places are empty.
            if (places.getPlain(at) != null) {
                T slot = places.getAndSet(at, null);
                if (slot != null) {
                    return slot;
                }
            }
        }
        return maker.get();
    }

    void giveBack(T slot) {
        int first = firstPlace();
        for (int n = 0; n < PLACES; n++) {
            if (places.compareAndSet(place(first + n), null, slot)) {
                return;
            }
        }
        // All places are taken: the collector frees the slot.
    }

    private static int firstPlace() {
        return (int) Thread.currentThread().threadId();
    }

    private static int place(int number) {
        return (number & (PLACES - 1)) * SPACING;
    }
}
