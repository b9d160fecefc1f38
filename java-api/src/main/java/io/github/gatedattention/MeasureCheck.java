package io.github.gatedattention;

/** Checks what is to be measured. */
final class MeasureCheck {
    private static final long MOST_HEADS = 1 << 20;

    private MeasureCheck() {}

    /** The operands must be those of a forward call that wrote its log-sum-exps and left its queries. */
    static void check(Settings settings, Operands o) {
        CallCheck.check(settings, o);
        if (o.lse() == null) {
            throw new IllegalArgumentException(
                    "lse is null, but a measurement reads what the forward call wrote there; use Operands.withLse");
        }
        if (o.out().isSameView(o.q())) {
            throw new IllegalArgumentException("out is exactly q, so the forward call overwrote the queries,"
                    + " which a measurement reads; use another tensor for out");
        }
    }

    /** Values may have any number of axes up to four; the last is contiguous or shared. */
    static void check(Tensor values) {
        Place.requireHost("values", values);
        if (values.rank() > 4) {
            throw new IllegalArgumentException(
                    "values has " + values.rank() + " axes, but must have 1 to 4; it is a " + values);
        }
        CallCheck.floating("values", values);
        int last = values.rank() - 1;
        if (values.dim(last) > 1 && values.stride(last) > 1) {
            CallCheck.contiguous("values", values, last);
        }
        for (int axis : new int[] {last, last - 1}) {
            boolean heads = axis == last - 1;
            if (axis >= 0
                    && (!heads || values.rank() == 4)
                    && (values.dim(axis) < 1 || values.dim(axis) > MOST_HEADS)) {
                throw new IllegalArgumentException("values has " + values.dim(axis) + (heads ? " heads" : " elements")
                        + " on axis " + axis + ", but must have 1 to " + MOST_HEADS);
            }
        }
    }

    /** The extent of one of the four axes batch, sequence, head and dim; rank 3 has no head, 2 no batch, 1 neither nor sequence. */
    static long extent(Tensor values, int axis) {
        int own = axis(values, axis);
        return own < 0 ? 1 : values.dim(own);
    }

    static long stride(Tensor values, int axis) {
        int own = axis(values, axis);
        return own < 0 ? 0 : values.stride(own);
    }

    private static int axis(Tensor values, int axis) {
        if (axis == 3) {
            return values.rank() - 1;
        }
        if (axis == 2) {
            return values.rank() == 4 ? 2 : -1;
        }
        return values.rank() == 4 ? axis : values.rank() - 3 + axis;
    }
}
