package io.github.gatedattention;

import static io.github.gatedattention.CallCheck.BATCH;
import static io.github.gatedattention.CallCheck.QUERIES;
import static io.github.gatedattention.CallCheck.extent;

import org.jspecify.annotations.Nullable;

/** Checks that the tensors of one backward call fit the settings and each other; the shapes are those of {@link BackwardOperands}. */
final class BackwardCheck {
    private BackwardCheck() {}

    static void check(Settings settings, BackwardOperands o) {
        Place.check(settings, o);
        Operands forward = o.forward();
        requireSupported(settings, forward);
        Tensor q = forward.q();
        Tensor k = forward.k();
        CallCheck.checkInputs(settings, q, k, forward.v(), forward.sequences());
        CallCheck.checkScales(forward.scales(), k);
        long batch = q.dim(0);
        long queries = q.dim(1);
        int heads = settings.queryHeads();
        int valueDim = settings.valueHeadDim();
        saved("out", settings, forward.out(), batch, queries);
        CallCheck.checkGate(settings.gate(), forward.gate(), batch, queries, heads, valueDim, BATCH, QUERIES);
        CallCheck.checkNormWeight(settings.gate(), forward.normWeight(), heads, valueDim);
        CallCheck.checkSink(forward.sink(), heads);
        Tensor lse = requireLse(forward);
        CallCheck.checkLseShape(lse, batch, queries, heads, BATCH, QUERIES);
        CallCheck.unshared("lse", lse);
        saved("dOut", settings, o.dOut(), batch, queries);
        Tensor ungated = o.ungated();
        if (ungated != null) {
            CallCheck.checkRowShape("ungated", settings, ungated, batch, queries, BATCH, QUERIES);
            typeOrF32("ungated", ungated, settings.dataType(), "the attention's dataType");
            CallCheck.unshared("ungated", ungated);
        }
        checkGradients(settings, o);
        checkOverlaps(o);
    }

    private static void requireSupported(Settings settings, Operands forward) {
        if (settings.gate().roundBeforeGate()) {
            throw new UnsupportedOperationException("the attention's gate is " + settings.gate()
                    + ", but rounding has no gradient; build with withRoundBeforeGate(false) for a backward call");
        }
        DataType keys = forward.k().dataType();
        if (keys != settings.dataType()) {
            throw new UnsupportedOperationException("k is " + keys + ", but a backward call takes keys and values of "
                    + settings.dataType() + ", the attention's dataType");
        }
        Sequences sequences = forward.sequences();
        if (sequences != null && sequences.blockTable() != null) {
            throw new UnsupportedOperationException("blockTable is a " + sequences.blockTable()
                    + ", but a backward call takes no paged keys; pad or pack them");
        }
    }

    private static Tensor requireLse(Operands forward) {
        Tensor lse = forward.lse();
        if (lse == null) {
            throw new IllegalArgumentException(
                    "lse is null, but a backward call needs that of its forward call; give both Operands.withLse");
        }
        return lse;
    }

    private static void saved(String name, Settings settings, Tensor rows, long batch, long queries) {
        CallCheck.checkRows(name, settings, rows, batch, queries, BATCH, QUERIES);
        CallCheck.unshared(name, rows);
    }

    private static void checkGradients(Settings settings, BackwardOperands o) {
        boolean any = false;
        for (int n = BackwardOperands.FIRST_GRADIENT; n < BackwardOperands.FIRST_OF_SEQUENCES; n++) {
            any |= o.tensor(n) != null;
        }
        if (!any) {
            throw new IllegalArgumentException(
                    "dQ, dK, dV, dGate, dNormWeight and dSink are all null, but a backward call needs one to write to");
        }
        Operands forward = o.forward();
        sameShape(settings, "dQ", o.dQ(), "q", forward.q());
        sameShape(settings, "dK", o.dK(), "k", forward.k());
        sameShape(settings, "dV", o.dV(), "v", forward.v());
        sums("dGate", o.dGate(), "gate", forward.gate());
        sums("dNormWeight", o.dNormWeight(), "normWeight", forward.normWeight());
        sums("dSink", o.dSink(), "sink", forward.sink());
    }

    private static void sameShape(
            Settings settings, String name, @Nullable Tensor gradient, String inputName, Tensor input) {
        if (gradient == null) {
            return;
        }
        CallCheck.rank(name, gradient, input.rank());
        typeOrF32(name, gradient, settings.dataType(), "the attention's dataType");
        for (int axis = 0; axis < input.rank(); axis++) {
            extent(name, gradient, axis, "elements", input.dim(axis), inputName);
        }
        CallCheck.contiguous(name, gradient, input.rank() - 1);
        CallCheck.output(name, gradient);
    }

    private static void typeOrF32(String name, Tensor tensor, DataType type, String typeName) {
        if (tensor.dataType() != type && tensor.dataType() != DataType.F32) {
            throw new IllegalArgumentException(
                    name + " is " + tensor.dataType() + ", but must be F32 or as " + typeName + ", which is " + type);
        }
    }

    /** The gradient of an input that may be shared: a place for each element that there is. */
    private static void sums(String name, @Nullable Tensor gradient, String inputName, @Nullable Tensor input) {
        if (gradient == null) {
            return;
        }
        if (input == null) {
            throw new IllegalArgumentException(
                    name + " is a " + gradient + ", but the call has no " + inputName + "; pass null");
        }
        CallCheck.rank(name, gradient, input.rank());
        typeOrF32(name, gradient, input.dataType(), inputName);
        for (int axis = 0; axis < input.rank(); axis++) {
            boolean shared = input.dim(axis) != 0 && input.stride(axis) == 0;
            long expected = shared ? 1 : input.dim(axis);
            if (gradient.dim(axis) != expected) {
                throw new IllegalArgumentException(name + " has " + gradient.dim(axis) + " elements on axis " + axis
                        + ", but " + inputName + " has " + expected + (shared ? ", shared along it" : ""));
            }
        }
        int last = gradient.rank() - 1;
        if (gradient.dim(last) > 1) {
            CallCheck.contiguous(name, gradient, last);
        }
        CallCheck.output(name, gradient);
    }

    private static void checkOverlaps(BackwardOperands o) {
        for (int n = BackwardOperands.FIRST_GRADIENT; n < BackwardOperands.FIRST_OF_SEQUENCES; n++) {
            Tensor gradient = o.tensor(n);
            for (int other = 0; gradient != null && other < BackwardOperands.TENSORS; other++) {
                boolean checkedBefore = other >= n && other < BackwardOperands.FIRST_OF_SEQUENCES;
                if (!checkedBefore) {
                    CallCheck.disjoint(
                            BackwardOperands.name(n), gradient, BackwardOperands.name(other), o.tensor(other));
                }
            }
        }
        Operands forward = o.forward();
        overwritten("q", forward.q(), forward.out());
        overwritten("gate", forward.gate(), forward.out());
        for (int other = 0; other < BackwardOperands.TENSORS; other++) {
            boolean isInput = other < BackwardOperands.OUT
                    || other == BackwardOperands.NORM_WEIGHT
                    || other == BackwardOperands.SINK
                    || other >= BackwardOperands.FIRST_OF_SEQUENCES;
            if (isInput) {
                String name = BackwardOperands.name(other);
                CallCheck.disjoint("out", forward.out(), name, o.tensor(other));
                CallCheck.disjoint("lse", requireLse(forward), name, o.tensor(other));
            }
        }
        CallCheck.disjoint("lse", requireLse(forward), "out", forward.out());
    }

    /** A forward call in place left nothing to differentiate at. */
    private static void overwritten(String name, @Nullable Tensor input, Tensor out) {
        if (input != null && Overlap.exists(out, input)) {
            throw new IllegalArgumentException("out overlaps " + name + ", which the forward call then overwrote, but a"
                    + " backward call needs both; give the forward call an out of its own");
        }
    }
}
