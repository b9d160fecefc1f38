package io.github.gatedattention;

import java.util.Arrays;

/**
 * Partial results over disjoint sets of keys become the result over all of them, in plain Java. Each is normalized, so its
 * weight is its softmax denominator, {@code exp(lse)}. They are added in the order in which they are given; the end of the row is
 * that of the forward pass. For one thread.
 */
final class MergeLoops {
    /** Rows per task. */
    static final int ROWS = 64;

    private final Tensor partialOut;
    private final Tensor partialLse;
    private final PlainEpilogue epilogue;
    private final double[] y;
    private final float[] row;

    /** The operands were checked. */
    MergeLoops(Settings settings, MergeOperands o) {
        partialOut = o.partialOut();
        partialLse = o.partialLse();
        epilogue = new PlainEpilogue(settings, o.gate(), o.out(), o.normWeight(), o.lse(), o.sink());
        y = new double[settings.valueHeadDim()];
        row = new float[settings.valueHeadDim()];
    }

    /** Rows {@code first} to {@code end - 1}, counted as {@code [B, Sq, Hq]}. */
    void run(long first, long end) {
        long queries = partialOut.dim(2);
        long heads = partialOut.dim(3);
        for (long r = first; r < end; r++) {
            merge(r / heads / queries, r / heads % queries, (int) (r % heads));
        }
    }

    private void merge(long b, long i, int h) {
        double maximum = Double.NEGATIVE_INFINITY;
        for (long n = 0; n < partialOut.dim(0); n++) {
            maximum = Math.max(maximum, lse(n, b, i, h));
        }
        double sum = 0;
        Arrays.fill(y, 0);
        for (long n = 0; n < partialOut.dim(0); n++) {
            double lse = lse(n, b, i, h);
            if (lse == Double.NEGATIVE_INFINITY) {
                continue; // it saw no key: its values do not count, not even a NaN
            }
            double weight = Math.exp(lse - maximum);
            sum += weight;
            long at = n * partialOut.stride(0)
                    + b * partialOut.stride(1)
                    + i * partialOut.stride(2)
                    + h * partialOut.stride(3);
            Elements.load(partialOut.dataType(), partialOut.segment(), at, row, 0, row.length);
            for (int d = 0; d < row.length; d++) {
                y[d] += weight * row[d];
            }
        }
        epilogue.finish(b, i, h, y, sum, maximum);
    }

    private double lse(long n, long b, long i, long h) {
        long at = n * partialLse.stride(0)
                + b * partialLse.stride(1)
                + h * partialLse.stride(2)
                + i * partialLse.stride(3);
        return Elements.get(DataType.F32, partialLse.segment(), at);
    }
}
