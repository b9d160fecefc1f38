package io.github.gatedattention.reference;

import io.github.gatedattention.Activation;
import io.github.gatedattention.Combination;
import io.github.gatedattention.DataType;
import java.util.function.Function;
import org.jspecify.annotations.Nullable;

/**
 * The gradients of {@link Reference}'s function in plain loops, row by row, either in float64 or once as a computer with f32 and the
 * call's type would get them: every operation rounded to f32, and what kernels store, Y, P, dY, dS and the gradients, to the type.
 *
 * <p>In float64 it also adds up the absolute values of all terms of each element, its magnitude: the errors of both kinds of
 * arithmetic are shares of it. Steps that magnify the error of Y magnify Y's magnitude in the same way:
 *
 * <pre>
 *   |Y|      sum_j P_j |V_j|
 *   SiLU     |N| + |silu'| |Y|;     |silu'(Y)|: |silu'| + |Y| / 2, for |silu''| &lt;= 1/2
 *   RMSNorm  n = Y/s: |n| (|Y| + |n| mean(|n| |Y|)) / s;     s: its relative error is mean(|n| |Y|) / s times that of Y
 * </pre>
 */
final class BackwardReference {
    private static final double EPS32 = 0x1p-23;

    /** How many eps of a 16-bit type the magnitudes may be off by: dV has rounded P and dY; dS is rounded once more, and so was O. */
    private static final int ROUNDINGS = 6;

    private final boolean single;
    private final Setting setting;
    private final DataType type;
    private final DoubleTensor q;
    private final DoubleTensor k;
    private final DoubleTensor v;
    private final @Nullable DoubleTensor gate;
    private final @Nullable DoubleTensor normWeight;
    private final @Nullable DoubleTensor sink;
    private final DoubleTensor dOut;
    private final int dim;
    private final int dimV;
    private final Gradients sums;
    private final Gradients magnitudes;
    private final Gradients bounds;

    BackwardReference(Reference.Builder call, DoubleTensor dOut, boolean single) {
        this.single = single;
        setting = call.setting;
        type = call.type;
        q = call.q;
        k = call.k;
        v = call.v;
        gate = call.gate;
        normWeight = call.normWeight;
        sink = call.sink;
        this.dOut = dOut;
        dim = q.shape()[3];
        dimV = v.shape()[3];
        sums = Gradients.zeros(q, k, v, gate, normWeight, sink);
        magnitudes = Gradients.zeros(q, k, v, gate, normWeight, sink);
        bounds = Gradients.zeros(q, k, v, gate, normWeight, sink);
        int[] shape = q.shape();
        for (int b = 0; b < shape[0]; b++) {
            int length = call.keyLengths == null ? k.shape()[1] : call.keyLengths[b];
            for (int i = 0; i < shape[1]; i++) {
                Reference.Range keys = Reference.visible(setting, i, shape[1], length);
                for (int h = 0; h < shape[2]; h++) {
                    row(b, i, h, keys, length);
                }
            }
        }
    }

    Gradients gradients() {
        return sums;
    }

    Gradients magnitudes() {
        return magnitudes;
    }

    /** Magnitudes times the share that they may be off by, which differs from row to row. */
    Gradients bounds() {
        return bounds;
    }

    /** The slope of an activation; that of SiLU is a difference, of which f32 loses some. */
    private double slope(Activation activation, double g) {
        return activation == Activation.SILU
                ? f(Activations.sigmoid(g) * f(1 + f(g * f(Activations.sigmoid(-g)))))
                : f(Activations.slope(activation, g));
    }

    /** A result of f32 arithmetic. */
    private double f(double x) {
        return single ? (float) x : x;
    }

    /** What is stored in the call's type. */
    private double stored(double x) {
        return single ? Floats.round(type, x) : x;
    }

    private void row(int b, int i, int h, Reference.Range keys, int length) {
        int kv = h / (q.shape()[2] / k.shape()[2]);
        int n = Math.max(0, keys.end() - keys.first());
        double[] p = new double[n];
        double[] slope = new double[n];
        double amp = 0;
        double logit = sink == null ? Double.NEGATIVE_INFINITY : sink.get(0, 0, 0, h);
        double max = logit;
        int query = q.index(b, i, h, 0);
        for (int j = 0; j < n; j++) {
            int key = k.index(b, keys.first() + j, kv, 0);
            double dot = 0;
            double absolute = 0;
            for (int d = 0; d < dim; d++) {
                double product = q.values()[query + d] * k.values()[key + d];
                dot = f(dot + f(product));
                absolute += Math.abs(product);
            }
            amp = Math.max(amp, Math.abs(setting.scale()) * absolute);
            double score = f(setting.scale() * dot);
            double cap = setting.softcap();
            double tanh = cap > 0 ? f(Math.tanh(f(score / cap))) : 0;
            p[j] = cap > 0 ? f(cap * tanh) : score;
            slope[j] = f(1 - f(tanh * tanh));
            max = Math.max(max, p[j]);
        }
        double sum = logit == Double.NEGATIVE_INFINITY ? 0 : f(Math.exp(f(logit - max)));
        double sinkShare = sum;
        for (int j = 0; j < n; j++) {
            p[j] = f(Math.exp(f(p[j] - max)));
            sum = f(sum + p[j]);
        }
        double[] y = new double[dimV];
        double[] magY = new double[dimV];
        for (int j = 0; j < n; j++) {
            p[j] = f(p[j] / sum);
            int value = v.index(b, keys.first() + j, kv, 0);
            for (int d = 0; d < dimV; d++) {
                y[d] = f(y[d] + f(p[j] * v.values()[value + d]));
                magY[d] += p[j] * Math.abs(v.values()[value + d]);
            }
        }
        for (int d = 0; d < dimV; d++) {
            y[d] = stored(y[d]);
        }
        double rows = (double) q.shape()[0] * q.shape()[1] * q.shape()[2];
        double share = EPS32 * (8 + amp + Math.sqrt(length) / 8 + Math.sqrt(rows) / 8)
                + (type == DataType.F32 ? 0 : ROUNDINGS * Floats.epsilon(type));
        Output output = new Output(b, i, h, y, magY, share);
        output.differentiate();
        double delta = 0;
        double magDelta = 0;
        double tail = 0;
        for (int d = 0; d < dimV; d++) {
            delta = f(delta + f(output.dY[d] * y[d]));
            magDelta += output.magDY[d] * magY[d];
            tail += Floats.subnormal(type) * Math.abs(dOut.get(b, i, h, d));
        }
        if (sink != null && logit != Double.NEGATIVE_INFINITY) {
            sinkShare = f(sinkShare / sum);
            add(Gradients::sink, sink.index(0, 0, 0, h), -f(sinkShare * delta), sinkShare * magDelta, share, tail);
        }
        for (int j = 0; j < n; j++) {
            key(b, i, h, keys.first() + j, kv, stored(p[j]), p[j], slope[j], output, delta, magDelta, share, tail);
        }
    }

    private void key(
            int b,
            int i,
            int h,
            int j,
            int kv,
            double storedP,
            double p,
            double slope,
            Output output,
            double delta,
            double magDelta,
            double share,
            double tail) {
        double dP = 0;
        double magDS = magDelta;
        int value = v.index(b, j, kv, 0);
        for (int d = 0; d < dimV; d++) {
            double dY = stored(output.dY[d]);
            dP = f(dP + f(dY * v.values()[value + d]));
            magDS += output.magDY[d] * Math.abs(v.values()[value + d]);
            add(Gradients::v, value + d, f(storedP * dY), p * output.magDY[d], share, 0);
        }
        double scale = setting.scale();
        double dS = stored(f(f(p * f(dP - delta)) * slope));
        // 1 - tanh^2 cancels in f32, so a softcap errs by some eps32 of what it has not scaled yet.
        double softcapError = setting.softcap() > 0 ? 4 * EPS32 / share : 0;
        magDS *= p * (Math.abs(slope) + softcapError) * Math.abs(scale);
        double tailDS = p * tail * Math.abs(scale);
        int query = q.index(b, i, h, 0);
        int key = k.index(b, j, kv, 0);
        for (int d = 0; d < dim; d++) {
            double keyElement = k.values()[key + d];
            double queryElement = q.values()[query + d];
            add(
                    Gradients::q,
                    query + d,
                    f(scale * f(dS * keyElement)),
                    magDS * Math.abs(keyElement),
                    share,
                    tailDS * Math.abs(keyElement));
            add(
                    Gradients::k,
                    key + d,
                    f(scale * f(dS * queryElement)),
                    magDS * Math.abs(queryElement),
                    share,
                    tailDS * Math.abs(queryElement));
        }
    }

    private void add(
            Function<Gradients, DoubleTensor> which, int at, double term, double magnitude, double share, double tail) {
        double[] values = which.apply(sums).values();
        values[at] = f(values[at] + term);
        if (!single) {
            which.apply(magnitudes).values()[at] += magnitude;
            which.apply(bounds).values()[at] += magnitude * share + tail;
        }
    }

    /** The way from dO to dY of one row, which adds the gradients of the gate and of the norm's weight. */
    private final class Output {
        private final int b;
        private final int i;
        private final int h;
        private final double[] y;
        private final double[] magY;
        private final double share;
        final double[] dY = new double[dimV];
        final double[] magDY = new double[dimV];
        private final double[] stepped; // N, or for RMSNorm n
        private final double[] magStepped = new double[dimV];
        private double root = 1;

        Output(int b, int i, int h, double[] y, double[] magY, double share) {
            this.b = b;
            this.i = i;
            this.h = h;
            this.y = y;
            this.magY = magY;
            this.share = share;
            stepped = y.clone();
        }

        void differentiate() {
            switch (setting.pre()) {
                case NONE -> System.arraycopy(magY, 0, magStepped, 0, dimV);
                case SILU -> {
                    for (int d = 0; d < dimV; d++) {
                        stepped[d] = f(Activations.silu(y[d]));
                        magStepped[d] = Math.abs(stepped[d]) + Math.abs(Activations.siluSlope(y[d])) * magY[d];
                    }
                }
                case RMS_NORM -> normalize();
            }
            gate();
            switch (setting.pre()) {
                case NONE -> {}
                case SILU -> {
                    for (int d = 0; d < dimV; d++) {
                        dY[d] = f(dY[d] * slope(Activation.SILU, y[d]));
                        magDY[d] *= Activations.slopeMagnitude(Activation.SILU, y[d]) + magY[d] / 2;
                    }
                }
                case RMS_NORM -> backThroughNorm();
            }
        }

        private void normalize() {
            double square = 0;
            for (int d = 0; d < dimV; d++) {
                square = f(square + f(y[d] * y[d]));
            }
            root = f(Math.sqrt(f(f(square / dimV) + setting.normEps())));
            double along = 0;
            for (int d = 0; d < dimV; d++) {
                stepped[d] = root == 0 ? 0 : f(y[d] / root);
                along += Math.abs(stepped[d]) * magY[d] / dimV;
            }
            for (int d = 0; d < dimV; d++) {
                magStepped[d] = root == 0 ? 0 : (magY[d] + Math.abs(stepped[d]) * along) / root;
            }
        }

        private double weight(int d) {
            return normWeight == null ? 1 : normWeight.get(0, 0, h, d);
        }

        private void gate() {
            boolean norm = setting.pre() == Setting.Pre.RMS_NORM;
            for (int d = 0; d < dimV; d++) {
                double dO = dOut.get(b, i, h, d);
                dY[d] = dO;
                magDY[d] = Math.abs(dO);
                if (gate == null) {
                    continue;
                }
                double w = norm ? weight(d) : 1;
                double g = gate.get(b, i, h, d);
                double value = f(Activations.apply(setting.activation(), g));
                double slope = slope(setting.activation(), g);
                double magSlope = Activations.slopeMagnitude(setting.activation(), g);
                double tail = Floats.subnormal(type) * Math.abs(dO);
                int at = gate.index(b, i, h, d);
                if (setting.combination() == Combination.ADD) {
                    add(Gradients::gate, at, f(dO * slope), Math.abs(dO) * magSlope, share, tail);
                } else {
                    double n = f(stepped[d] * w);
                    double magnitude = Math.abs(dO * w) * magSlope * magStepped[d];
                    add(Gradients::gate, at, f(f(dO * n) * slope), magnitude, share, tail);
                    dY[d] = f(dO * value);
                    magDY[d] *= Math.abs(value);
                }
            }
        }

        private void backThroughNorm() {
            double along = 0;
            double magAlong = 0;
            double magMoved = 0;
            double condition = 0;
            for (int d = 0; d < dimV; d++) {
                if (normWeight != null) {
                    add(
                            Gradients::normWeight,
                            normWeight.index(0, 0, h, d),
                            f(dY[d] * stepped[d]),
                            magDY[d] * magStepped[d],
                            share,
                            0);
                }
                dY[d] = f(dY[d] * weight(d));
                magDY[d] *= Math.abs(weight(d));
                along = f(along + f(dY[d] * stepped[d]));
                magAlong += magDY[d] * Math.abs(stepped[d]) / dimV;
                magMoved += magDY[d] * magStepped[d] / dimV;
                condition += Math.abs(stepped[d]) * magY[d] / dimV;
            }
            along = f(along / dimV);
            condition = root == 0 ? 0 : condition / root;
            for (int d = 0; d < dimV; d++) {
                double n = stepped[d];
                dY[d] = root == 0 ? 0 : f(f(dY[d] - f(n * along)) / root);
                magDY[d] = root == 0
                        ? 0
                        : (magDY[d] * (1 + condition)
                                        + (magStepped[d] + condition * Math.abs(n)) * magAlong
                                        + Math.abs(n) * magMoved)
                                / root;
            }
        }
    }
}
