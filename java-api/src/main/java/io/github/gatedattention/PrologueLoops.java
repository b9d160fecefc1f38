package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/**
 * The prologue of attention in plain Java: {@code rotate(norm(in * a(gate)))}, in double, with one rounding at the end. For one
 * thread.
 */
final class PrologueLoops {
    private final PrologueSettings settings;
    private final PrologueOperands operands;
    private final @Nullable CacheSlots cache;
    private final float[] row;
    private final double[] x;

    /** The operands were checked. */
    PrologueLoops(PrologueSettings settings, PrologueOperands operands, @Nullable CacheSlots cache) {
        this.settings = settings;
        this.operands = operands;
        this.cache = cache;
        int most = Math.max(settings.headDim(), settings.valueHeadDim());
        row = new float[most];
        x = new double[most];
    }

    /** All heads of a token, counted as {@code [B, S]}. */
    void run(long token) {
        long tokens = operands.any().dim(1);
        long b = token / tokens;
        long s = token % tokens;
        for (int n = 0; n < PrologueCheck.PARTS; n++) {
            ProjectedHeads part = operands.part(n);
            for (int h = 0; part != null && h < settings.heads(n); h++) {
                head(n, part, b, s, h);
            }
        }
    }

    private void head(int n, ProjectedHeads part, long b, long s, int h) {
        int dim = settings.dim(n);
        loadGated(settings, n, part, b, s, h, row, x);
        if (settings.isNormalized(n)) {
            double factor = normFactor(settings, x, dim);
            for (int d = 0; d < dim; d++) {
                x[d] *= factor * weight(settings, part, h, d);
            }
        }
        if (settings.isRotated(n)) {
            rotate(settings, position(b, s), 1, x);
        }
        for (int d = 0; d < dim; d++) {
            row[d] = (float) x[d];
        }
        if (cache != null && n > 0) {
            long slot = Elements.getInt(cache.slots().segment(), b * cache.stride() + s);
            Tensor to = n == 1 ? cache.memory().keys : cache.memory().values;
            long at = slot * to.stride(1) + h * to.stride(2);
            Elements.store(
                    to.dataType(),
                    row,
                    0,
                    n == 1 ? cache.memory().keyMemory() : cache.memory().valueMemory(),
                    at,
                    dim);
        } else {
            Elements.store(part.out().dataType(), row, 0, part.out().segment(), offset(part.out(), b, s, h), dim);
        }
    }

    private long position(long b, long s) {
        if (cache != null) {
            return Elements.getInt(cache.positions().segment(), b * cache.stride() + s);
        }
        return position(operands, b, s);
    }

    static long position(PrologueOperands operands, long b, long s) {
        Tensor positions = operands.positions();
        return positions == null
                ? operands.firstPosition() + s
                : Elements.getInt(
                        positions.segment(),
                        (positions.dim(0) == 1 ? 0 : b * positions.stride(0)) + s * positions.stride(1));
    }

    /** {@code x = in * a(gate)} of one head; {@code row} is overwritten. */
    static void loadGated(
            PrologueSettings settings, int n, ProjectedHeads part, long b, long s, int h, float[] row, double[] x) {
        int dim = settings.dim(n);
        Elements.load(part.in().dataType(), part.in().segment(), offset(part.in(), b, s, h), row, 0, dim);
        Tensor gate = part.gate();
        Activation activation = settings.gates()[n];
        for (int d = 0; d < dim; d++) {
            x[d] = gate == null || activation == null
                    ? row[d]
                    : row[d] * (double) activation.apply(gate(gate, b, s, h, d));
        }
    }

    static float gate(Tensor gate, long b, long s, long h, long d) {
        long at = shared(gate, 0, b) + shared(gate, 1, s) + shared(gate, 2, h) + shared(gate, 3, d);
        return Elements.get(gate.dataType(), gate.segment(), at);
    }

    /** {@code 1 / sqrt(mean(x^2) + eps)}; 0 where nothing is left to divide by. */
    static double normFactor(PrologueSettings settings, double[] x, int dim) {
        double squares = 0;
        for (int d = 0; d < dim; d++) {
            squares += x[d] * x[d];
        }
        double mean = squares / dim + settings.normEps();
        return mean == 0 ? 0 : 1 / Math.sqrt(mean);
    }

    static double weight(PrologueSettings settings, ProjectedHeads part, int h, int d) {
        Tensor weight = part.normWeight();
        if (weight == null) {
            return 1;
        }
        long at = weight.rank() == 1 ? d : shared(weight, 0, h) + d;
        double value = Elements.get(weight.dataType(), weight.segment(), at);
        return settings.plusOne() ? 1 + value : value;
    }

    /** Turns pairs by the position's angles; backwards where the sign is -1. */
    static void rotate(PrologueSettings settings, long position, int sign, double[] x) {
        Rope rope = settings.rope();
        RopeTable table = settings.table();
        if (rope == null || table == null) {
            return;
        }
        int pairs = rope.dim() / 2;
        for (int n = 0; n < pairs; n++) {
            int first = rope.isInterleaved() ? 2 * n : n;
            int second = rope.isInterleaved() ? 2 * n + 1 : n + pairs;
            double cosine = Elements.get(DataType.F32, table.cosines.segment(), position * pairs + n);
            double sine = sign * Elements.get(DataType.F32, table.sines.segment(), position * pairs + n);
            double a = x[first];
            double c = x[second];
            x[first] = a * cosine - c * sine;
            x[second] = c * cosine + a * sine;
        }
    }

    /** Where a head begins, of {@code [B, S, H, D]} or {@code [B, S, groups, heads, D]}, in elements. */
    static long offset(Tensor heads, long b, long s, long h) {
        long at = b * heads.stride(0) + s * heads.stride(1);
        if (heads.rank() == 4) {
            return at + h * heads.stride(2);
        }
        long group = heads.dim(3);
        return at + h / group * heads.stride(2) + h % group * heads.stride(3);
    }

    /** The part of an offset that an axis contributes; an axis of one element is shared along. */
    static long shared(Tensor tensor, int axis, long index) {
        return tensor.dim(axis) == 1 ? 0 : index * tensor.stride(axis);
    }
}
