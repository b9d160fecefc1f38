package io.github.gatedattention;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The way back through the end of a row, in plain Java and in double: from the gradient of {@code O = gate(N, G)}, {@code N =
 * step(Y)}, to those of Y, of the gate's scores and of the norm's weight. For one thread.
 *
 * <pre>
 *   multiply: dN = dO a(G), dG = dO N a'(G)        add: dN = dO, dG = dO a'(G)
 *   RMSNorm, with n = Y / s, s = sqrt(mean(Y^2) + eps), N = n w:   dw = dN n,   dY = (dN w - n mean(dN w n)) / s
 *   SiLU:     dY = dN silu'(Y)
 * </pre>
 */
final class BackwardRow {
    private final Gate setting;
    private final @Nullable Tensor gate;
    private final @Nullable Tensor normWeight;
    private final Tensor dOut;

    /** The gradient of Y, {@code [Dv]}. */
    final double[] dY;
    /** Of the gate's scores, as many as the gate has per row. */
    final double[] dScores;
    /** Of the norm's weight, as if it had an element for each. */
    final double[] dWeight;

    private final double[] normed;
    private final double[] weight;
    private final float[] row;

    /** For the rows of a call whose operands were checked. */
    BackwardRow(Settings settings, BackwardOperands o) {
        setting = settings.gate();
        gate = o.forward().gate();
        normWeight = o.forward().normWeight();
        dOut = o.dOut();
        int valueDim = settings.valueHeadDim();
        dY = new double[valueDim];
        dScores = new double[setting.isHeadwise() ? 1 : valueDim];
        dWeight = new double[valueDim];
        normed = new double[valueDim];
        weight = new double[valueDim];
        row = new float[valueDim];
    }

    /** Fills the gradients of a row, whose Y is {@code y}. */
    void compute(long entry, long i, int h, double[] y) {
        Elements.load(
                dOut.dataType(),
                dOut.segment(),
                entry * dOut.stride(0) + i * dOut.stride(1) + h * dOut.stride(2),
                row,
                0,
                row.length);
        for (int d = 0; d < row.length; d++) {
            dY[d] = row[d];
        }
        double root = step(h, y);
        if (gate != null) {
            throughGate(gate, entry, i, h);
        }
        throughStep(y, root);
    }

    /** Fills {@link #normed} with N, or for RMSNorm with n; gives the s of RMSNorm. */
    private double step(int h, double[] y) {
        switch (setting.step()) {
            case NONE -> System.arraycopy(y, 0, normed, 0, y.length);
            case SILU -> Arrays.setAll(normed, d -> Activation.silu(y[d]));
            case RMS_NORM -> {
                double squares = 0;
                for (double value : y) {
                    squares += value * value;
                }
                double root = Math.sqrt(squares / y.length + setting.normEps());
                for (int d = 0; d < y.length; d++) {
                    normed[d] = root == 0 ? 0 : y[d] / root;
                }
                loadWeight(h);
                return root;
            }
        }
        return 1;
    }

    private void loadWeight(int h) {
        if (normWeight == null) {
            Arrays.fill(weight, 1);
            return;
        }
        long at = normWeight.dim(0) == 1 ? 0 : h * normWeight.stride(0);
        load(normWeight, at, 1, weight);
    }

    private void throughGate(Tensor scores, long entry, long i, int h) {
        long at = shared(scores, 0, entry) + shared(scores, 1, i) + shared(scores, 2, h);
        load(scores, at, 3, dScores);
        Activation activation = setting.activation();
        boolean add = setting.combination() == Combination.ADD;
        boolean norm = setting.hasRmsNorm();
        double value = 0;
        double slope = 0;
        double headwise = 0;
        for (int d = 0; d < dY.length; d++) {
            if (d < dScores.length) {
                value = activation.value(dScores[d]);
                slope = activation.slope(dScores[d]);
            }
            double score = add ? dY[d] * slope : dY[d] * (norm ? normed[d] * weight[d] : normed[d]) * slope;
            if (setting.isHeadwise()) {
                headwise += score;
            } else {
                dScores[d] = score;
            }
            dY[d] = add ? dY[d] : dY[d] * value;
        }
        if (setting.isHeadwise()) {
            dScores[0] = headwise;
        }
    }

    private void throughStep(double[] y, double root) {
        switch (setting.step()) {
            case NONE -> {}
            case SILU -> {
                for (int d = 0; d < y.length; d++) {
                    dY[d] *= Activation.siluSlope(y[d]);
                }
            }
            case RMS_NORM -> {
                double along = 0;
                for (int d = 0; d < y.length; d++) {
                    dWeight[d] = dY[d] * normed[d];
                    dY[d] *= weight[d];
                    along += dY[d] * normed[d];
                }
                along /= y.length;
                for (int d = 0; d < y.length; d++) {
                    // A row of zeros with an eps of 0 stays one, however it is moved.
                    dY[d] = root == 0 ? 0 : (dY[d] - normed[d] * along) / root;
                }
            }
        }
    }

    /** Reads a row, widened, whose last axis may be one element that counts for all. */
    private void load(Tensor tensor, long at, int axis, double[] to) {
        if (tensor.dim(axis) == 1 || tensor.stride(axis) == 0) {
            Arrays.fill(to, Elements.get(tensor.dataType(), tensor.segment(), at));
            return;
        }
        Elements.load(tensor.dataType(), tensor.segment(), at, row, 0, to.length);
        for (int d = 0; d < to.length; d++) {
            to[d] = row[d];
        }
    }

    private static long shared(Tensor tensor, int axis, long index) {
        return tensor.dim(axis) == 1 ? 0 : index * tensor.stride(axis);
    }
}
