package io.github.gatedattention.train;

import java.util.stream.IntStream;

/** Loops over rows on all processors. The cut depends on the number of rows alone, and so do all results. */
final class Parallel {
    private Parallel() {}

    /** What is done with the rows from {@code from} to before {@code to}, which are block number {@code block}. */
    interface Block {
        void run(int block, int from, int to);
    }

    /** How many blocks there are. */
    static int blocks(int rows, int rowsPerBlock) {
        return (rows + rowsPerBlock - 1) / rowsPerBlock;
    }

    /** Runs all blocks, in any order. */
    static void run(int rows, int rowsPerBlock, Block body) {
        IntStream.range(0, blocks(rows, rowsPerBlock))
                .parallel()
                .forEach(block -> body.run(block, block * rowsPerBlock, Math.min(rows, (block + 1) * rowsPerBlock)));
    }
}
