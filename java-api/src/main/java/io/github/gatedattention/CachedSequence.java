package io.github.gatedattention;

import java.util.Arrays;

/** One sequence of a cache: its length and its blocks. Objects are used again, so that a busy cache makes no garbage. */
final class CachedSequence {
    static final int NONE = -1;

    /** 0 while no sequence lives here. */
    long id;

    int length;
    /** Block n holds the tokens from n times the block size on; there are never more blocks than the length needs. */
    int[] blocks = new int[4];

    int blockCount;
    /** Grows whenever a block that was there is exchanged or given up: copies of {@link #blocks} are then out of date. */
    int edits;
    /** During an append: the shared block whose copy stands last in {@link #blocks} now. */
    int displaced = NONE;
    /** The last append that this sequence was part of. */
    long round;

    void begin(long newId) {
        id = newId;
        length = 0;
        blockCount = 0;
        edits = 0;
    }

    /** Makes room for so many blocks, before any is taken. */
    void reserve(long count) {
        if (count > blocks.length) {
            blocks = Arrays.copyOf(blocks, (int) Math.max(count, Math.min(Integer.MAX_VALUE - 8, 2L * blocks.length)));
        }
    }

    /** Adds a block that {@link #reserve} has made room for. */
    void addBlock(int block) {
        blocks[blockCount++] = block;
    }

    int lastBlock() {
        return blocks[blockCount - 1];
    }
}
