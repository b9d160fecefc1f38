package io.github.gatedattention;

import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Where the tokens of a call go in a cache, and where they stand: a row and a position each, {@code [B, S]}. Reused from call to
 * call; memory grows to what the largest needed.
 */
final class CacheSlots implements CacheAppend.Writer {
    private Tensor slots = Tensor.allocate(Arena.ofAuto(), DataType.I32, 1, 1);
    private Tensor positions = Tensor.allocate(Arena.ofAuto(), DataType.I32, 1, 1);
    private long batch;
    private long tokens;
    private long positionsOfRope;

    // Of the call at hand
    private @Nullable CacheMemory memory;
    private @Nullable PrologueEngine engine;
    private @Nullable PrologueOperands operands;

    /** What to compute once the cache has made room. */
    void prepare(PrologueEngine newEngine, PrologueOperands newOperands, @Nullable RopeTable table) {
        positionsOfRope = table == null ? Long.MAX_VALUE : table.positions();
        engine = newEngine;
        operands = newOperands;
        batch = newOperands.any().dim(0);
        tokens = newOperands.any().dim(1);
        if (slots.dim(0) * slots.dim(1) < batch * tokens) {
            slots = Tensor.allocate(Arena.ofAuto(), DataType.I32, 1, batch * tokens);
            positions = Tensor.allocate(Arena.ofAuto(), DataType.I32, 1, batch * tokens);
        }
    }

    @Override
    public void write(CachedSequence[] targets, CacheMemory to) {
        memory = to;
        for (int b = 0; b < batch; b++) {
            CachedSequence sequence = targets[b];
            for (int s = 0; s < tokens; s++) {
                int position = sequence.length + s;
                long block = sequence.blocks[(int) (position / to.blockRows)];
                long row = block * to.blockRows + position % to.blockRows;
                if (row > Integer.MAX_VALUE) {
                    throw new IllegalArgumentException(
                            "the cache has over 2^31 rows, but a prologue can write to the first 2^31 alone");
                }
                if (position >= positionsOfRope) {
                    throw new IllegalArgumentException("sequence " + sequence.id + " would have a token at position "
                            + position + ", but the rope was built for " + positionsOfRope + " positions");
                }
                slots.segment().setAtIndex(ValueLayout.JAVA_INT, b * tokens + s, (int) row);
                positions.segment().setAtIndex(ValueLayout.JAVA_INT, b * tokens + s, position);
            }
        }
        Objects.requireNonNull(engine).run(Objects.requireNonNull(operands), this);
    }

    /** Keeps nobody's memory alive. */
    void forget() {
        memory = null;
        engine = null;
        operands = null;
    }

    CacheMemory memory() {
        return Objects.requireNonNull(memory);
    }

    Tensor slots() {
        return slots;
    }

    Tensor positions() {
        return positions;
    }

    /** Elements from one sequence's first token to the next one's. */
    long stride() {
        return tokens;
    }
}
