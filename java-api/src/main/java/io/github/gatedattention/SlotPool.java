package io.github.gatedattention;

import java.util.concurrent.atomic.AtomicReferenceArray;
import org.jspecify.annotations.Nullable;

/**
 * Call slots that are not in use, without a lock. A thread looks first where it put its last slot; as many slots come
 * to be as calls ran at the same time, at most {@value #PLACES} are kept.
 */
final class SlotPool {
    private static final int PLACES = 64;
    /** References between two places, so that threads do not share a cache line. */
    private static final int SPACING = 16;

    private final Settings settings;
    private final AtomicReferenceArray<@Nullable CallSlot> places = new AtomicReferenceArray<>(PLACES * SPACING);

    SlotPool(Settings settings) {
        this.settings = settings;
    }

    CallSlot take() {
        int first = firstPlace();
        for (int n = 0; n < PLACES; n++) {
            int at = place(first + n);
            // Looking before taking: an exchange is dear, and most places are empty.
            if (places.getPlain(at) != null) {
                CallSlot slot = places.getAndSet(at, null);
                if (slot != null) {
                    return slot;
                }
            }
        }
        return new CallSlot(settings);
    }

    void giveBack(CallSlot slot) {
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
