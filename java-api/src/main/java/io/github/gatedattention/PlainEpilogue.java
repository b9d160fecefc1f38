package io.github.gatedattention;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The end of a row in plain Java: the {@link Sink} joins the sum, {@code Y = y / sum} and the log-sum-exp is {@code maximum +
 * log(sum)}; then come the step on Y, the gate, and the one rounding to the output's type. For one thread.
 */
final class PlainEpilogue {
    private final Settings settings;
    private final @Nullable Tensor gate;
    private final Tensor out;
    private final @Nullable Tensor normWeight;
    private final @Nullable Tensor lse;
    private final @Nullable Tensor sink;
    private final float[] row;
    private final float[] result;

    /** For the rows of a call whose operands were checked. */
    PlainEpilogue(
            Settings settings,
            @Nullable Tensor gate,
            Tensor out,
            @Nullable Tensor normWeight,
            @Nullable Tensor lse,
            @Nullable Tensor sink) {
        this.settings = settings;
        this.gate = gate;
        this.out = out;
        this.normWeight = normWeight;
        this.lse = lse;
        this.sink = sink;
        this.row = new float[settings.valueHeadDim()];
        this.result = new float[settings.valueHeadDim()];
    }

    /**
     * Normalizes, steps, gates, rounds and writes a row.
     *
     * @param y the sum over the keys of {@code exp(score - maximum)} times their values
     * @param sum the sum of those weights; 0: the row sees no key
     */
    void finish(long b, long i, int h, double[] y, double sum, double maximum) {
        double logit = Sink.of(sink, h);
        if (lse != null) {
            float logSumExp = (float) Sink.logSumExp(logit, sum, maximum);
            Elements.set(DataType.F32, lse.segment(), offset(lse, b, h, i), logSumExp);
        }
        Gate setting = settings.gate();
        double share = Sink.share(logit, sum, maximum);
        double factor = Sink.factor(setting, share, sum);
        for (int d = 0; d < result.length; d++) {
            result[d] = (float) (y[d] * factor);
        }
        switch (setting.step()) {
            case NONE -> {}
            case RMS_NORM -> normalize(h, share);
            case SILU -> {
                for (int d = 0; d < result.length; d++) {
                    result[d] = (float) Activation.silu(result[d]);
                }
            }
        }
        if (setting.roundBeforeGate()) {
            for (int d = 0; d < result.length; d++) {
                result[d] = settings.dataType().round(result[d]);
            }
        }
        if (gate != null) {
            applyGate(setting, gate, b, i, h);
        }
        Elements.store(out.dataType(), result, 0, out.segment(), offset(out, b, i, h), result.length);
    }

    /**
     * {@code y / sqrt(mean(y^2) + eps) * weight} of y = share * result, whose common factor is divided away again but for eps;
     * a row of zeros stays one, even with an eps of 0.
     */
    private void normalize(int h, double share) {
        double squares = 0;
        for (float value : result) {
            squares += (double) value * value;
        }
        double root = Math.sqrt(squares / result.length + settings.gate().normEps() / share / share);
        double factor = root == 0 || share == 0 ? 0 : 1 / root;
        if (normWeight != null) {
            loadShared(normWeight, shared(normWeight, 0, h), row, result.length);
        }
        for (int d = 0; d < result.length; d++) {
            result[d] = (float) (result[d] * factor * (normWeight != null ? row[d] : 1));
        }
    }

    private void applyGate(Gate setting, Tensor gateScores, long b, long i, int h) {
        long at = shared(gateScores, 0, b) + shared(gateScores, 1, i) + shared(gateScores, 2, h);
        loadShared(gateScores, at, row, result.length);
        Activation activation = setting.activation();
        boolean add = setting.combination() == Combination.ADD;
        float value = activation.apply(row[0]);
        for (int d = 0; d < result.length; d++) {
            if (d > 0 && !setting.isHeadwise()) {
                value = activation.apply(row[d]);
            }
            result[d] = add ? result[d] + value : result[d] * value;
        }
    }

    /** Reads a row whose last axis may be one element that counts for all. */
    private static void loadShared(Tensor tensor, long offset, float[] to, int n) {
        int last = tensor.rank() - 1;
        if (tensor.dim(last) == 1 || tensor.stride(last) == 0) {
            Arrays.fill(to, 0, n, Elements.get(tensor.dataType(), tensor.segment(), offset));
        } else {
            Elements.load(tensor.dataType(), tensor.segment(), offset, to, 0, n);
        }
    }

    /** Where the last axis begins, in elements. */
    private static long offset(Tensor tensor, long x, long y, long z) {
        return x * tensor.stride(0) + y * tensor.stride(1) + z * tensor.stride(2);
    }

    /** The part of an offset that an axis contributes; an axis of one element is shared along. */
    private static long shared(Tensor tensor, int axis, long index) {
        return tensor.dim(axis) == 1 ? 0 : index * tensor.stride(axis);
    }
}
