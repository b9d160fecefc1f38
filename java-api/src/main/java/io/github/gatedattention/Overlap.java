package io.github.gatedattention;

/**
 * Whether strided views touch the same bytes.
 *
 * <p>Two views collide when the distance between some run of one and some run of the other is smaller than a run:
 * {@code low <= d + sum of x_n * step_n <= high}, where each {@code x_n} is a bounded integer. The search takes the
 * largest step first and only the few multiples that the smaller ones can still make up for, so that views interleaved
 * in one buffer, such as the q and gate columns of one projection, are told apart exactly. A search that takes too long
 * counts as an overlap.
 */
final class Overlap {
    private static final int MOST_STEPS_TAKEN = 10_000;

    private Overlap() {}

    static boolean exists(Tensor a, Tensor b) {
        if (a.isEmpty()
                || b.isEmpty()
                || a.address() >= b.address() + b.spanBytes()
                || b.address() >= a.address() + a.spanBytes()) {
            return false;
        }
        return new Search(a, b).finds();
    }

    /** Whether no two elements share memory, judged by nesting: each stride clears all that the smaller ones span. */
    static boolean everyElementHasItsPlace(Tensor tensor) {
        if (tensor.isEmpty()) {
            return true;
        }
        long reach = 0; // elements spanned by the axes with a smaller stride, less one
        long last = -1;
        for (int done = 0; done < tensor.rank(); done++) {
            // The next larger stride; of equal ones the second cannot clear the first.
            int next = -1;
            for (int axis = 0; axis < tensor.rank(); axis++) {
                boolean later = tensor.stride(axis) > last;
                if (tensor.dim(axis) > 1 && later && (next < 0 || tensor.stride(axis) < tensor.stride(next))) {
                    next = axis;
                }
            }
            if (next < 0) {
                return isComplete(tensor, done);
            }
            if (tensor.stride(next) <= reach) {
                return false;
            }
            last = tensor.stride(next);
            reach += (tensor.dim(next) - 1) * last;
        }
        return true;
    }

    /** Whether all axes of more than one element were taken, that is, none was left out for an equal stride. */
    private static boolean isComplete(Tensor tensor, int taken) {
        int axes = 0;
        for (int axis = 0; axis < tensor.rank(); axis++) {
            axes += tensor.dim(axis) > 1 ? 1 : 0;
        }
        return axes == taken;
    }

    /** The search for a collision of two views; steps and distances are in bytes. */
    private static final class Search {
        private final long[] steps;
        private final long[] least;
        private final long[] most;
        private int size;
        private final long distance;
        private final long low;
        private final long high;
        private int taken;

        Search(Tensor a, Tensor b) {
            int capacity = a.rank() + b.rank();
            steps = new long[capacity];
            least = new long[capacity];
            most = new long[capacity];
            distance = a.address() - b.address();
            high = add(b, -1) - 1;
            low = 1 - add(a, 1);
            sortByStep();
        }

        /** Adds the view's axes with the given sign; returns the bytes of its contiguous run. */
        private long add(Tensor view, int sign) {
            long run = view.dataType().byteSize();
            int lastAxis = view.rank() - 1;
            for (int axis = lastAxis; axis >= 0; axis--) {
                long reach = view.dim(axis) - 1;
                long step = view.stride(axis) * view.dataType().byteSize();
                if (axis == lastAxis && view.stride(axis) == 1) {
                    run += reach * step;
                } else if (reach > 0 && step > 0) {
                    int n = find(step);
                    least[n] += sign < 0 ? -reach : 0;
                    most[n] += sign < 0 ? 0 : reach;
                }
            }
            return run;
        }

        private int find(long step) {
            for (int n = 0; n < size; n++) {
                if (steps[n] == step) {
                    return n;
                }
            }
            steps[size] = step;
            return size++;
        }

        private void sortByStep() {
            for (int n = 1; n < size; n++) {
                for (int m = n; m > 0 && steps[m - 1] < steps[m]; m--) {
                    swap(steps, m);
                    swap(least, m);
                    swap(most, m);
                }
            }
        }

        private static void swap(long[] values, int at) {
            long value = values[at];
            values[at] = values[at - 1];
            values[at - 1] = value;
        }

        boolean finds() {
            return from(0, distance);
        }

        private boolean from(int n, long sum) {
            if (n == size) {
                return low <= sum && sum <= high;
            }
            if (++taken > MOST_STEPS_TAKEN) {
                return true;
            }
            long restLeast = 0;
            long restMost = 0;
            for (int m = n + 1; m < size; m++) {
                restLeast += least[m] * steps[m];
                restMost += most[m] * steps[m];
            }
            long first = Math.max(least[n], Math.ceilDiv(low - sum - restMost, steps[n]));
            long last = Math.min(most[n], Math.floorDiv(high - sum - restLeast, steps[n]));
            for (long x = first; x <= last; x++) {
                if (from(n + 1, sum + x * steps[n])) {
                    return true;
                }
            }
            return false;
        }
    }
}
