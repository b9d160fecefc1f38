package io.github.gatedattention;

/**
 * Which blocks of a cache are free, and how many sequences use each of the others. A block is what a sequence takes at a
 * time: a page of a paged cache, an entry of a contiguous one. Not safe for several threads.
 */
final class CacheBlocks {
    private final int[] references;
    /** A stack: the block freed last is taken first, since the processor's caches may still hold it. */
    private final int[] free;

    private int freeCount;

    CacheBlocks(int count) {
        references = new int[count];
        free = new int[count];
        for (int n = 0; n < count; n++) {
            free[n] = count - 1 - n;
        }
        freeCount = count;
    }

    int count() {
        return references.length;
    }

    int freeCount() {
        return freeCount;
    }

    /** Takes a free block; the caller has seen that there is one. */
    int take() {
        int block = free[--freeCount];
        references[block] = 1;
        return block;
    }

    void share(int block) {
        references[block]++;
    }

    boolean isShared(int block) {
        return references[block] > 1;
    }

    /** Gives up one use. Releasing what was taken, in the opposite order, restores the order of the free blocks too. */
    void release(int block) {
        if (--references[block] == 0) {
            free[freeCount++] = block;
        }
    }
}
