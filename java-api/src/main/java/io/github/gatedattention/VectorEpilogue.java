package io.github.gatedattention;

import static io.github.gatedattention.VectorMath.LANES;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/** The end of a row: the sink, log-sum-exp, normalization, the step on Y, the gate, and the one rounding to the output's type. */
final class VectorEpilogue {
    private static final double LN_2 = Math.log(2);

    private VectorEpilogue() {}

    /** Finishes row r of {@code rows}. */
    static void finish(VectorCall call, VectorRows rows, int r, int b, int keyHead) {
        Settings settings = call.settings();
        Gate setting = settings.gate();
        long i = call.query(rows.firstRow + r);
        int h = call.head(keyHead, rows.firstRow + r);
        int entry = call.sequences().queryEntry(b);
        long place = call.sequences().queryRow(b, i);
        int n = settings.valueHeadDim();
        int padded = rows.valueDim;
        float[] result = rows.result;

        double sum = VectorMath.sumOfLanes(rows.sums, r * LANES);
        double maximum = rows.maximum[r] * LN_2;
        double sink = Sink.of(call.sink(), h);
        Tensor lse = call.lse();
        if (lse != null) {
            long at = entry * lse.stride(0) + h * lse.stride(1) + place * lse.stride(2);
            Elements.set(DataType.F32, lse.segment(), at, (float) Sink.logSumExp(sink, sum, maximum));
        }
        double share = Sink.share(sink, sum, maximum);
        double factor = Sink.factor(setting, share, sum);
        VectorMath.scale(rows.y, r * padded, padded, (float) factor, result, 0);
        switch (setting.step()) {
            case NONE -> {}
            case RMS_NORM -> normalize(setting, share, call.normWeight(), h, result, rows.gate, n);
            case SILU -> silu(result, padded, rows.sigmoids);
        }
        if (setting.roundBeforeGate()) {
            round(settings.dataType(), result, n);
        }
        Tensor gate = call.gate();
        if (gate != null) {
            long at = shared(gate, 0, entry) + shared(gate, 1, place) + shared(gate, 2, h);
            applyGate(setting, gate, at, rows, n, padded);
        }
        Tensor out = call.out();
        long at = entry * out.stride(0) + place * out.stride(1) + h * out.stride(2);
        Elements.store(out.dataType(), result, 0, out.segment(), at, n);
    }

    /**
     * {@code y / sqrt(mean(y^2) + eps) * weight} of y = share * result, whose common factor is divided away again but for eps;
     * a row of zeros stays one, even with an eps of 0.
     */
    private static void normalize(
            Gate setting, double share, @Nullable Tensor weight, int h, float[] result, float[] scratch, int n) {
        double squares = 0;
        for (int d = 0; d < n; d++) {
            squares += (double) result[d] * result[d];
        }
        double root = Math.sqrt(squares / n + setting.normEps() / share / share);
        double factor = root == 0 || share == 0 ? 0 : 1 / root;
        if (weight == null) {
            Arrays.fill(scratch, 0, n, 1);
        } else if (isShared(weight)) {
            Arrays.fill(scratch, 0, n, Elements.get(weight.dataType(), weight.segment(), shared(weight, 0, h)));
        } else {
            Elements.load(weight.dataType(), weight.segment(), shared(weight, 0, h), scratch, 0, n);
        }
        for (int d = 0; d < n; d++) {
            result[d] = (float) (result[d] * factor * scratch[d]);
        }
    }

    /** {@code x * sigmoid(x)}, with its limit 0 at negative infinity. */
    private static void silu(float[] x, int padded, float[] scratch) {
        VectorMath.sigmoid(x, padded, scratch);
        VectorMath.multiply(scratch, padded, x);
        clearNaN(x, scratch, padded);
    }

    /** Minus infinity times a sigmoid of 0: the sigmoid of what is NaN itself is NaN. */
    private static void clearNaN(float[] product, float[] sigmoid, int n) {
        for (int d = 0; d < n; d++) {
            product[d] = sigmoid[d] == 0 ? 0 : product[d];
        }
    }

    private static void round(DataType type, float[] x, int n) {
        if (type != DataType.F32) {
            for (int d = 0; d < n; d++) {
                x[d] = type.round(x[d]);
            }
        }
    }

    private static void applyGate(Gate setting, Tensor gate, long at, VectorRows rows, int n, int padded) {
        float[] result = rows.result;
        float[] scores = rows.gate;
        boolean add = setting.combination() == Combination.ADD;
        Activation activation = setting.activation();
        if (setting.isHeadwise() || isShared(gate)) {
            float value = activation.apply(Elements.get(gate.dataType(), gate.segment(), at));
            VectorMath.affine(result, padded, add ? 1 : value, add ? value : 0);
            return;
        }
        Elements.load(gate.dataType(), gate.segment(), at, scores, 0, n);
        activate(activation, scores, rows.sigmoids, n, padded);
        if (add) {
            VectorMath.add(scores, padded, result);
        } else {
            VectorMath.multiply(scores, padded, result);
        }
    }

    private static void activate(Activation activation, float[] scores, float[] sigmoids, int n, int padded) {
        switch (activation) {
            case IDENTITY -> {}
            case SIGMOID -> VectorMath.sigmoid(scores, padded, scores);
            case NS_SIGMOID -> {
                VectorMath.sigmoid(scores, padded, scores);
                VectorMath.affine(scores, padded, 0.5f, 0.5f);
            }
            case TWO_SIGMOID -> {
                VectorMath.sigmoid(scores, padded, scores);
                VectorMath.affine(scores, padded, 2, 0);
            }
            case SILU -> silu(scores, padded, sigmoids);
            case SOFTPLUS, TANH -> {
                for (int d = 0; d < n; d++) {
                    scores[d] = activation.apply(scores[d]);
                }
            }
        }
    }

    /** Whether one element of the last axis counts for all. */
    private static boolean isShared(Tensor tensor) {
        int last = tensor.rank() - 1;
        return tensor.dim(last) == 1 || tensor.stride(last) == 0;
    }

    /** The part of an offset that an axis contributes; an axis of one element is shared along. */
    private static long shared(Tensor tensor, int axis, long index) {
        return tensor.dim(axis) == 1 ? 0 : index * tensor.stride(axis);
    }
}
