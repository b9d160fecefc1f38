package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/**
 * The sink of a row: one more term of its softmax denominator, without a value. It joins once, when the sum over the keys
 * is complete.
 *
 * <p>The larger of the two, the maximum of the keys and the sink, is the reference of both, so that neither overflows. A
 * row that sees no key keeps the sink as its whole denominator.
 */
final class Sink {
    private Sink() {}

    /** The logit of a query head; negative infinity, a term of 0, where there is none. */
    static double of(@Nullable Tensor sink, int head) {
        if (sink == null) {
            return Double.NEGATIVE_INFINITY;
        }
        return Elements.get(sink.dataType(), sink.segment(), sink.dim(0) == 1 ? 0 : head * sink.stride(0));
    }

    /** The share of the probability that the keys have: 1 without a sink. */
    static double share(double sink, double sum, double maximum) {
        if (sink == Double.NEGATIVE_INFINITY) {
            return 1;
        }
        double reference = Math.max(maximum, sink);
        double keys = sum * Math.exp(maximum - reference);
        return keys / (keys + Math.exp(sink - reference));
    }

    /**
     * What normalizes the row's values, weighted with {@code exp(score - maximum)} and summed. RMSNorm takes the share into
     * its eps, for Y itself may be too small for a float.
     */
    static double factor(Gate gate, double share, double sum) {
        boolean isZero = sum == 0 && !Double.isNaN(share);
        return isZero ? 0 : (gate.hasRmsNorm() ? 1 : share) / sum;
    }

    /** The natural logarithm of the denominator. */
    static double logSumExp(double sink, double sum, double maximum) {
        if (sink == Double.NEGATIVE_INFINITY) {
            return sum == 0 ? Double.NEGATIVE_INFINITY : maximum + Math.log(sum);
        }
        double reference = Math.max(maximum, sink);
        return reference + Math.log(sum * Math.exp(maximum - reference) + Math.exp(sink - reference));
    }
}
