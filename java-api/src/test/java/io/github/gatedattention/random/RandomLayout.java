package io.github.gatedattention.random;

import java.util.random.RandomGenerator;

/** Random strides: any order of the outer axes, gaps of any size between them, the last axis contiguous. */
final class RandomLayout {
    private RandomLayout() {}

    static long[] strides(RandomGenerator random, long... shape) {
        int rank = shape.length;
        int[] order = new int[rank - 1];
        for (int n = 0; n < order.length; n++) {
            int other = random.nextInt(n + 1);
            order[n] = order[other];
            order[other] = n;
        }
        long[] strides = new long[rank];
        strides[rank - 1] = 1;
        boolean gaps = random.nextBoolean();
        long step = shape[rank - 1] + (gaps ? random.nextInt(9) : 0);
        for (int axis : order) {
            strides[axis] = step;
            step = step * shape[axis] + (gaps ? random.nextInt(4) : 0);
        }
        return strides;
    }

    /** Elements by which a tensor misses a cache line: usually none, else any number. */
    static int misalignment(RandomGenerator random) {
        return random.nextInt(3) > 0 ? 0 : random.nextInt(32);
    }
}
