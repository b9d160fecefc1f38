package io.github.gatedattention.reference;

import io.github.gatedattention.Combination;
import io.github.gatedattention.DataType;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Gated attention in float64, in plain loops, with the error that the library is allowed per element.
 *
 * <p>Per row (batch b, query i, head h) over the visible keys j:
 *
 * <pre>
 *   S_j = scale * q . k_j, or cap tanh(S_j / cap)        P = softmax(S)        Y_d = sum_j P_j V_jd        N = pre(Y)        O = gate(N, G)
 *   mag_d = sum_j P_j |V_jd|     amp = max_j |scale| sum_d |q_d||k_jd|
 *   c = eps32 * (8 + amp + sqrt(Sk)/8)  [+ 3 eps_t for 16-bit types]               |error of Y_d| &lt;= c * mag_d
 * </pre>
 *
 * <p>A sink is one more score of the softmax, known exactly, without a value. Sk is the number of keys of the sequence. The steps after Y carry that error on:
 *
 * <ul>
 *   <li>RMSNorm, {@code N_d = w_d Y_d / s} with {@code s = sqrt(mean(Y^2) + eps)}: the true s' of a disturbed Y is no less than the
 *       largest of {@code sqrt(s^2 - 2 mean(|Y| error))}, {@code s - sqrt(mean(error^2))} and {@code sqrt(eps)}, call it m; so N is off
 *       by at most {@code |w_d| (error(Y_d) / m + |Y_d| (1/m - 1/s))}.
 *   <li>SiLU, {@code N = f(Y)}: {@code |f'(Y)|} times the error of Y, plus the remainder, at most a quarter of its square because
 *       {@code |f''| <= 1/2}, plus {@code (8 eps32 + eps_t) |N|} for evaluating f where its slope vanishes.
 *   <li>rounding before the gate: plus one roundoff of the type, {@code 2 eps_t (|N| + error)}.
 *   <li>multiply: scaled by {@code |a(G)|}. Add: plus {@code c |a(G)|}.
 *   <li>the rounding of the result: {@code 2 eps |O|}, half a subnormal step of f16, and f32 intermediates below the normal range, which
 *       may be flushed: {@code 2^-126} per unit of mag, of {@code |N|} and of {@code |G|}; likewise a weight, so
 *       per unit of {@code sum_j |V_j|}: that shows where what weighs most is exactly 0, as whole numbers can be.
 * </ul>
 */
public final class Reference {
    private static final double EPS32 = 0x1p-23;

    private final Setting setting;
    private final DataType type;
    private final DoubleTensor q;
    private final DoubleTensor k;
    private final DoubleTensor v;
    private final @Nullable DoubleTensor gate;
    private final @Nullable DoubleTensor normWeight;
    private final @Nullable DoubleTensor sink;
    private final int @Nullable [] keyLengths;
    private final double inputError;
    private final int seqQ;
    private final int headsQ;
    private final int dim;
    private final int dimV;
    /** Of the row at work, the sum of the sizes of all values that it sees. */
    private final double[] sizes;

    private final Expected expected;

    private Reference(Builder builder) {
        setting = builder.setting;
        type = builder.type;
        q = builder.q;
        k = builder.k;
        v = builder.v;
        gate = builder.gate;
        normWeight = builder.normWeight;
        sink = builder.sink;
        keyLengths = builder.keyLengths;
        inputError = builder.inputError;
        seqQ = q.shape()[1];
        headsQ = q.shape()[2];
        dim = q.shape()[3];
        dimV = v.shape()[3];
        sizes = new double[dimV];
        int batch = q.shape()[0];
        expected = new Expected(
                DoubleTensor.zeros(batch, seqQ, headsQ, dimV),
                DoubleTensor.zeros(batch, seqQ, headsQ, dimV),
                DoubleTensor.zeros(batch, seqQ, headsQ, dimV),
                DoubleTensor.zeros(1, batch, headsQ, seqQ),
                DoubleTensor.zeros(1, batch, headsQ, seqQ));
    }

    /** A call of element type {@code type} on these tensors. */
    public static Builder of(Setting setting, DataType type, DoubleTensor q, DoubleTensor k, DoubleTensor v) {
        return new Builder(setting, type, q, k, v);
    }

    /** The optional operands of a reference. */
    public static final class Builder {
        final Setting setting;
        final DataType type;
        final DoubleTensor q;
        final DoubleTensor k;
        final DoubleTensor v;

        @Nullable
        DoubleTensor gate;

        @Nullable
        DoubleTensor normWeight;

        @Nullable
        DoubleTensor sink;

        int @Nullable [] keyLengths;
        private double inputError;

        private Builder(Setting setting, DataType type, DoubleTensor q, DoubleTensor k, DoubleTensor v) {
            this.setting = setting;
            this.type = type;
            this.q = q;
            this.k = k;
            this.v = v;
        }

        /** The gate's scores, {@code [B, Sq, Hq, Dv]}; any axis may be 1. */
        public Builder gate(@Nullable DoubleTensor scores) {
            gate = scores;
            return this;
        }

        /** The weight of RMSNorm, {@code [1, 1, Hq, Dv]}; any axis may be 1. */
        public Builder normWeight(@Nullable DoubleTensor weight) {
            normWeight = weight;
            return this;
        }

        /** The logits of the sink, {@code [1, 1, 1, Hq]}; the last axis may be 1. */
        public Builder sink(@Nullable DoubleTensor logits) {
            sink = logits;
            return this;
        }

        /** Keys in use per sequence. */
        public Builder keyLengths(int @Nullable [] lengths) {
            keyLengths = lengths == null ? null : lengths.clone();
            return this;
        }

        /**
         * The relative error of every element of q, k, v and gate as the library will get them: the bounds then hold against these
         * exact values. A score may move by {@code amp * (2u + u^2)}, hence P by {@code e^(2 * that)}.
         */
        public Builder inputError(double relative) {
            inputError = relative;
            return this;
        }

        /** Computes. */
        public Expected compute() {
            Reference reference = new Reference(this);
            for (int b = 0; b < q.shape()[0]; b++) {
                for (int i = 0; i < reference.seqQ; i++) {
                    for (int h = 0; h < reference.headsQ; h++) {
                        reference.row(b, i, h);
                    }
                }
            }
            return reference.expected;
        }

        /** The gradients in the order of {@link Gradients#NAMES}, from that of the result, {@code [B, Sq, Hq, Dv]}. */
        public List<@Nullable ExpectedGradient> gradients(DoubleTensor dOut) {
            return ExpectedGradient.of(
                    new BackwardReference(this, dOut, false), new BackwardReference(this, dOut, true));
        }
    }

    /**
     * The keys that a query sees.
     *
     * @param end one past the last; at most first when there is none
     */
    record Range(int first, int end) {}

    static Range visible(Setting setting, int i, int seqQ, int length) {
        int diagonal = i + length - seqQ;
        long last = length - 1;
        if (setting.causal()) {
            last = Math.min(last, diagonal);
        }
        if (setting.windowRight() >= 0) {
            last = Math.min(last, diagonal + Math.min(setting.windowRight(), Integer.MAX_VALUE));
        }
        long first = 0;
        if (setting.windowLeft() >= 0) {
            first = Math.max(first, diagonal - Math.min(setting.windowLeft(), Integer.MAX_VALUE));
        }
        return new Range((int) first, (int) Math.max(first, last + 1));
    }

    private void row(int b, int i, int h) {
        int length = keyLengths == null ? k.shape()[1] : keyLengths[b];
        Range keys = visible(setting, i, seqQ, length);
        int kv = h / (headsQ / k.shape()[2]);

        double[] y = new double[dimV];
        double[] mag = new double[dimV];
        double amp = attention(b, i, h, kv, keys.first(), keys.end(), y, mag);
        double share = EPS32 * (8 + amp + Math.sqrt(length) / 8);
        if (type != DataType.F32) {
            share += 3 * Floats.epsilon(type);
        }
        // An input error u moves P by at most the factor below and V by u.
        double moved = Math.exp(2 * amp * (2 * inputError + inputError * inputError)) * (1 + inputError);
        double shareOfInput = moved - 1;
        double[] error = new double[dimV];
        for (int d = 0; d < dimV; d++) {
            error[d] = (share * moved + shareOfInput) * mag[d];
        }
        System.arraycopy(
                y, 0, expected.attention().values(), expected.attention().index(b, i, h, 0), dimV);
        switch (setting.pre()) {
            case NONE -> {}
            case RMS_NORM -> rmsNorm(h, y, error);
            case SILU -> silu(y, error);
        }
        finish(b, i, h, y, error, mag, share);
    }

    /** Fills Y and mag of one row, writes its LSE and returns amp. */
    private double attention(int b, int i, int h, int kv, int first, int end, double[] y, double[] mag) {
        double[] p = new double[Math.max(0, end - first)];
        double amp = 0;
        double logit = sink == null ? Double.NEGATIVE_INFINITY : sink.get(0, 0, 0, h);
        double max = logit;
        int row = q.index(b, i, h, 0);
        for (int j = first; j < end; j++) {
            int key = k.index(b, j, kv, 0);
            double dot = 0;
            double absolute = 0;
            for (int d = 0; d < dim; d++) {
                double product = q.values()[row + d] * k.values()[key + d];
                dot += product;
                absolute += Math.abs(product);
            }
            double score = setting.scale() * dot;
            double cap = setting.softcap();
            p[j - first] = cap > 0 ? cap * Math.tanh(score / cap) : score;
            max = Math.max(max, p[j - first]);
            amp = Math.max(amp, Math.abs(setting.scale()) * absolute);
        }
        Arrays.fill(sizes, 0);
        double sum = logit == Double.NEGATIVE_INFINITY ? 0 : Math.exp(logit - max);
        for (int j = 0; j < p.length; j++) {
            p[j] = Math.exp(p[j] - max);
            sum += p[j];
        }
        for (int j = first; j < end; j++) {
            int value = v.index(b, j, kv, 0);
            double weight = p[j - first] / sum;
            for (int d = 0; d < dimV; d++) {
                y[d] += weight * v.values()[value + d];
                mag[d] += weight * Math.abs(v.values()[value + d]);
                sizes[d] += Math.abs(v.values()[value + d]);
            }
        }
        if (Double.isNaN(sum)) {
            Arrays.fill(y, Double.NaN); // also where there is no key: a sink that is no number
        }
        double lse = sum == 0 ? Double.NEGATIVE_INFINITY : max + Math.log(sum);
        int at = expected.lse().index(0, b, h, i);
        expected.lse().values()[at] = lse;
        expected.lseBound().values()[at] = p.length == 0
                ? 0
                : (type == DataType.F32 ? 1e-5 : 2e-3)
                        + EPS32 * amp
                        + 1e-5 * Math.abs(lse)
                        + amp * (2 * inputError + inputError * inputError);
        return amp;
    }

    private void rmsNorm(int h, double[] y, double[] error) {
        double square = 0;
        double product = 0;
        double errorSquare = 0;
        for (int d = 0; d < dimV; d++) {
            square += y[d] * y[d] / dimV;
            product += Math.abs(y[d]) * error[d] / dimV;
            errorSquare += error[d] * error[d] / dimV;
        }
        double root = Math.sqrt(square + setting.normEps());
        if (root == 0) {
            return; // A row of zeros stays one, even where eps is 0.
        }
        double smallest = Math.max(
                Math.sqrt(Math.max(0, root * root - 2 * product)),
                Math.max(root - Math.sqrt(errorSquare), Math.sqrt(setting.normEps())));
        for (int d = 0; d < dimV; d++) {
            double w = normWeight == null ? 1 : normWeight.get(0, 0, h, d);
            error[d] = Math.abs(w) * (error[d] / smallest + Math.abs(y[d]) * (1 / smallest - 1 / root));
            y[d] *= w / root;
        }
    }

    private void silu(double[] y, double[] error) {
        double evaluation = 8 * EPS32 + (type == DataType.F32 ? 0 : Floats.epsilon(type));
        for (int d = 0; d < dimV; d++) {
            double slope = Math.abs(Activations.siluSlope(y[d]));
            y[d] = Activations.silu(y[d]);
            error[d] = slope * error[d] + 0.25 * error[d] * error[d] + evaluation * Math.abs(y[d]);
        }
    }

    /** Combines with the gate and writes the row. */
    private void finish(int b, int i, int h, double[] y, double[] error, double[] mag, double share) {
        int at = expected.out().index(b, i, h, 0);
        boolean roundedFirst = setting.roundBeforeGate() && type != DataType.F32;
        for (int d = 0; d < dimV; d++) {
            if (roundedFirst) {
                error[d] += Floats.roundoff(type) * (Math.abs(y[d]) + error[d]) + Floats.subnormal(type);
            }
            double o = y[d];
            double bound = error[d];
            double flushed = 0x1p-126 * (1 + mag[d] + Math.abs(y[d]) + sizes[d]);
            if (gate != null) {
                double g = gate.get(b, i, h, d);
                double a = Activations.apply(setting.activation(), g);
                flushed *= 1 + Math.abs(g);
                double aError = Activations.slope(setting.activation()) * inputError * Math.abs(g);
                if (setting.combination() == Combination.MULTIPLY) {
                    o = y[d] * a;
                    bound = (Math.abs(a) + aError) * error[d] + Math.abs(y[d]) * aError;
                } else {
                    o = y[d] + a;
                    bound = error[d] + share * Math.abs(a) + aError;
                }
            }
            double tail = 2 * Floats.epsilon(type);
            expected.out().values()[at + d] = o;
            expected.outBound().values()[at + d] =
                    bound + tail * (Math.abs(o) + (inputError > 0 ? bound : 0)) + flushed + Floats.subnormal(type);
        }
    }

    @Override
    public String toString() {
        return "Reference[" + setting + ", " + type + ", q " + Arrays.toString(q.shape()) + ", k "
                + Arrays.toString(k.shape()) + "]";
    }
}
