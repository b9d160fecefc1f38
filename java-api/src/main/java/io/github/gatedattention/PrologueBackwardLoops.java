package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/**
 * Backward of one projection's prologue in plain Java. With {@code u = in * a(gate)}, {@code r = 1 / sqrt(mean(u^2) + eps)} and {@code
 * n = u r}: the gradient of out is turned back to {@code dn}; the weight's is the sum of {@code dn n}; {@code t = dn weight}, {@code
 * du = r (t - n mean(t n))}; then {@code dIn = du a(gate)} and {@code dGate = du in a'(gate)}, summed up where the gate is shared.
 */
final class PrologueBackwardLoops {
    private final PrologueSettings settings;
    private final PrologueOperands operands;
    private final int number;
    private final ProjectedHeads part;
    private final HeadGradients gradients;
    private final int dim;
    private final float[] row;
    private final double[] u;
    private final double[] dy;
    private final double @Nullable [] gateSums;
    private final double @Nullable [] weightSums;

    PrologueBackwardLoops(
            PrologueSettings settings,
            PrologueOperands operands,
            int number,
            ProjectedHeads part,
            HeadGradients gradients) {
        this.settings = settings;
        this.operands = operands;
        this.number = number;
        this.part = part;
        this.gradients = gradients;
        dim = settings.dim(number);
        row = new float[dim];
        u = new double[dim];
        dy = new double[dim];
        gateSums = sums(gradients.dGate());
        weightSums = sums(gradients.dNormWeight());
    }

    private static double @Nullable [] sums(@Nullable Tensor gradient) {
        return gradient == null ? null : new double[Math.toIntExact(TensorLayout.elements(gradient.shape()))];
    }

    void run() {
        for (long b = 0; b < part.in().dim(0); b++) {
            for (long s = 0; s < part.in().dim(1); s++) {
                for (int h = 0; h < settings.heads(number); h++) {
                    head(b, s, h);
                }
            }
        }
        store(gradients.dGate(), gateSums);
        store(gradients.dNormWeight(), weightSums);
    }

    private void head(long b, long s, int h) {
        Tensor dOut = gradients.dOut();
        Elements.load(dOut.dataType(), dOut.segment(), PrologueLoops.offset(dOut, b, s, h), row, 0, dim);
        for (int d = 0; d < dim; d++) {
            dy[d] = row[d];
        }
        if (settings.isRotated(number)) {
            PrologueLoops.rotate(settings, PrologueLoops.position(operands, b, s), -1, dy);
        }
        if (settings.isNormalized(number)) {
            normalized(b, s, h);
        }
        gated(b, s, h);
        Tensor dIn = gradients.dIn();
        if (dIn != null) {
            for (int d = 0; d < dim; d++) {
                row[d] = (float) dy[d];
            }
            Elements.store(dIn.dataType(), row, 0, dIn.segment(), PrologueLoops.offset(dIn, b, s, h), dim);
        }
    }

    private void normalized(long b, long s, int h) {
        PrologueLoops.loadGated(settings, number, part, b, s, h, row, u);
        double r = PrologueLoops.normFactor(settings, u, dim);
        double mean = 0;
        for (int d = 0; d < dim; d++) {
            double n = u[d] * r;
            if (weightSums != null && gradients.dNormWeight() != null) {
                weightSums[weightIndex(gradients.dNormWeight(), h, d)] += dy[d] * n;
            }
            dy[d] *= PrologueLoops.weight(settings, part, h, d);
            mean += dy[d] * n / dim;
        }
        for (int d = 0; d < dim; d++) {
            dy[d] = r * (dy[d] - u[d] * r * mean);
        }
    }

    private int weightIndex(Tensor gradient, int h, int d) {
        boolean ofHeads = gradient.rank() == 2 && gradient.dim(0) > 1;
        return (ofHeads ? h * dim : 0) + d;
    }

    private void gated(long b, long s, int h) {
        Tensor gate = part.gate();
        Activation activation = settings.gates()[number];
        if (gate == null || activation == null) {
            return;
        }
        Tensor in = part.in();
        Elements.load(in.dataType(), in.segment(), PrologueLoops.offset(in, b, s, h), row, 0, dim);
        for (int d = 0; d < dim; d++) {
            float score = PrologueLoops.gate(gate, b, s, h, d);
            if (gateSums != null) {
                gateSums[gateIndex(gate, b, s, h, d)] += dy[d] * row[d] * activation.slope(score);
            }
            dy[d] *= activation.apply(score);
        }
    }

    /** In the gate's own order; an axis of one element is shared along. */
    private static int gateIndex(Tensor gate, long b, long s, long h, long d) {
        long[] index = {b, s, h, d};
        long at = 0;
        for (int axis = 0; axis < 4; axis++) {
            at = at * gate.dim(axis) + (gate.dim(axis) == 1 ? 0 : index[axis]);
        }
        return (int) at;
    }

    private static void store(@Nullable Tensor gradient, double @Nullable [] sums) {
        if (gradient == null || sums == null) {
            return;
        }
        long[] index = new long[gradient.rank()];
        for (double sum : sums) {
            gradient.setFloat((float) sum, index);
            for (int axis = index.length - 1; axis >= 0 && ++index[axis] == gradient.dim(axis); axis--) {
                index[axis] = 0;
            }
        }
    }
}
