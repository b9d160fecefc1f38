package io.github.gatedattention;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The living sequences of a cache by their ids. The low bits of an id say where the sequence is, the others are a number
 * that is never given twice: so an id is found without a search, and that of a freed sequence is never another's.
 */
final class CacheSequences {
    private static final int SLOT_BITS = 20;
    /** As many sequences may live at a time. */
    static final int MOST = 1 << SLOT_BITS;

    private CachedSequence[] slots = new CachedSequence[0];
    private int[] freeSlots = new int[0];
    private int freeCount;
    private long lastSerial;

    /** Living sequences. */
    int count() {
        return slots.length - freeCount;
    }

    @Nullable
    CachedSequence find(long id) {
        CachedSequence found = null;
        int slot = (int) (id & (MOST - 1));
        if (id > 0 && slot < slots.length && slots[slot].id == id) {
            found = slots[slot];
        }
        return found;
    }

    /** A new, empty sequence; the caller has seen that there are fewer than {@link #MOST}. */
    CachedSequence add() {
        if (freeCount == 0) {
            grow();
        }
        int slot = freeSlots[--freeCount];
        CachedSequence sequence = slots[slot];
        sequence.begin(++lastSerial << SLOT_BITS | slot);
        return sequence;
    }

    void remove(CachedSequence sequence) {
        freeSlots[freeCount++] = (int) (sequence.id & (MOST - 1));
        sequence.id = 0;
    }

    private void grow() {
        int before = slots.length;
        int after = Math.min(MOST, Math.max(16, 2 * before));
        CachedSequence[] more = Arrays.copyOf(slots, after);
        int[] moreFree = new int[after];
        for (int slot = after - 1; slot >= before; slot--) {
            more[slot] = new CachedSequence();
            moreFree[after - 1 - slot] = slot;
        }
        slots = more;
        freeSlots = moreFree;
        freeCount = after - before;
    }
}
