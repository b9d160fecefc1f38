package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** Checks that the tensors of one prologue, or of its backward, fit the settings and each other. */
final class PrologueCheck {
    static final int PARTS = 3;
    private static final String[] IN = {"q.in", "k.in", "v.in"};
    private static final String[] GATE = {"q.gate", "k.gate", "v.gate"};
    private static final String[] WEIGHT = {"q.normWeight", "k.normWeight", "v.normWeight"};
    private static final String[] OUT = {"q.out", "k.out", "v.out"};
    private static final String[] D_OUT = {"q.dOut", "k.dOut", "v.dOut"};
    private static final String[] D_IN = {"q.dIn", "k.dIn", "v.dIn"};
    private static final String[] D_GATE = {"q.dGate", "k.dGate", "v.dGate"};
    private static final String[] D_WEIGHT = {"q.dNormWeight", "k.dNormWeight", "v.dNormWeight"};

    private PrologueCheck() {}

    /**
     * Checks a call forward.
     *
     * @param cached whether k and v go into a cache instead of their outs
     */
    static void forward(PrologueSettings settings, PrologueOperands o, boolean cached) {
        common(settings, o);
        for (int n = 0; n < PARTS; n++) {
            ProjectedHeads part = o.part(n);
            if (part == null || (cached && n > 0)) {
                continue;
            }
            Tensor out = part.out();
            CallCheck.type(OUT[n], out, settings.dataType());
            sameShape(OUT[n], out, IN[n], part.in());
            CallCheck.contiguous(OUT[n], out, out.rank() - 1);
            CallCheck.output(OUT[n], out);
            apart(OUT[n], out, o, out.isSameView(part.in()) ? part.in() : null);
            for (int other = n + 1; other < PARTS; other++) {
                ProjectedHeads later = o.part(other);
                if (later != null && !cached) {
                    CallCheck.disjoint(OUT[n], out, OUT[other], later.out());
                }
            }
        }
    }

    /** Checks a call whose keys and values go to a cache. */
    static void cached(PrologueSettings settings, PrologueOperands o, KvCache cache, long[] ids) {
        if (o.k() == null || o.v() == null) {
            throw new IllegalArgumentException(
                    (o.k() == null ? "k" : "v") + " is null, but a token of a cache has a key and a value");
        }
        if (o.positions() != null || o.firstPosition() != 0) {
            throw new IllegalArgumentException((o.positions() != null
                            ? "positions is a " + o.positions()
                            : "firstPosition is " + o.firstPosition())
                    + ", but tokens of a cache stand where their sequence has grown to");
        }
        forward(settings, o, true);
        if (o.any().dim(0) != ids.length) {
            throw new IllegalArgumentException(
                    IN[1] + " has " + o.any().dim(0) + " sequences on axis 0, but ids has " + ids.length);
        }
        Tensor keys = cache.memory().keys;
        Tensor values = cache.memory().values;
        CacheCheck.likeCache("dataType", settings.dataType(), cache.memory().dataType);
        CacheCheck.likeCache("keyValueHeads", settings.keyValueHeads(), cache.memory().heads);
        CacheCheck.likeCache("headDim", settings.headDim(), cache.memory().keyDim);
        CacheCheck.likeCache("valueHeadDim", settings.valueHeadDim(), cache.memory().valueDim);
        for (int n = 0; n < PARTS; n++) {
            ProjectedHeads part = o.part(n);
            if (part != null) {
                CallCheck.disjoint("the cache's keys", keys, IN[n], part.in());
                CallCheck.disjoint("the cache's values", values, IN[n], part.in());
            }
        }
        if (o.q() != null) {
            CallCheck.disjoint(OUT[0], o.q().out(), "the cache's keys", keys);
            CallCheck.disjoint(OUT[0], o.q().out(), "the cache's values", values);
        }
    }

    static void backward(PrologueSettings settings, PrologueOperands o, PrologueGradients gradients) {
        common(settings, o);
        for (int n = 0; n < PARTS; n++) {
            ProjectedHeads part = o.part(n);
            HeadGradients g = gradients.part(n);
            if ((part == null) != (g == null)) {
                throw new IllegalArgumentException(
                        (part == null ? "there are gradients of " : "there are no gradients of ") + IN[n].charAt(0)
                                + ", but the operands have " + (part == null ? "none" : "some"));
            }
            if (part != null && g != null) {
                gradients(settings, n, part, g, o);
            }
        }
        for (int n = 0; n < PARTS; n++) {
            for (int other = n + 1; other < PARTS; other++) {
                disjointOutputs(n, gradients.part(n), other, gradients.part(other));
            }
        }
    }

    private static void gradients(
            PrologueSettings settings, int n, ProjectedHeads part, HeadGradients g, PrologueOperands o) {
        CallCheck.type(D_OUT[n], g.dOut(), settings.dataType());
        sameShape(D_OUT[n], g.dOut(), IN[n], part.in());
        CallCheck.contiguous(D_OUT[n], g.dOut(), g.dOut().rank() - 1);
        CallCheck.unshared(D_OUT[n], g.dOut());
        Tensor dIn = g.dIn();
        if (dIn != null) {
            if (dIn.dataType() != DataType.F32) {
                CallCheck.type(D_IN[n], dIn, settings.dataType());
            }
            sameShape(D_IN[n], dIn, IN[n], part.in());
            CallCheck.contiguous(D_IN[n], dIn, dIn.rank() - 1);
            CallCheck.output(D_IN[n], dIn);
            apart(D_IN[n], dIn, o, null);
            if (!dIn.isSameView(g.dOut())) {
                CallCheck.disjoint(D_IN[n], dIn, D_OUT[n], g.dOut());
            }
        }
        summed(D_GATE[n], g.dGate(), GATE[n], part.gate(), g, n, o);
        summed(D_WEIGHT[n], g.dNormWeight(), WEIGHT[n], part.normWeight(), g, n, o);
        if (g.dGate() != null && g.dNormWeight() != null) {
            CallCheck.disjoint(D_GATE[n], g.dGate(), D_WEIGHT[n], g.dNormWeight());
        }
    }

    private static void summed(
            String name,
            @Nullable Tensor gradient,
            String ofName,
            @Nullable Tensor of,
            HeadGradients g,
            int n,
            PrologueOperands o) {
        if (gradient == null) {
            return;
        }
        if (of == null) {
            throw new IllegalArgumentException(name + " is a " + gradient + ", but " + ofName + " is null");
        }
        for (int axis = 0; axis < of.rank(); axis++) {
            if (of.stride(axis) == 0 && of.dim(axis) > 1) {
                throw new IllegalArgumentException(ofName + " repeats its element on axis " + axis + " of "
                        + of.dim(axis) + " elements; for a gradient give it 1 there");
            }
        }
        CallCheck.floating(name, gradient);
        sameShape(name, gradient, ofName, of);
        int last = gradient.rank() - 1;
        if (gradient.dim(last) > 1) {
            CallCheck.contiguous(name, gradient, last);
        }
        CallCheck.output(name, gradient);
        apart(name, gradient, o, null);
        CallCheck.disjoint(name, gradient, D_OUT[n], g.dOut());
        CallCheck.disjoint(name, gradient, D_IN[n], g.dIn());
    }

    private static void disjointOutputs(int n, @Nullable HeadGradients a, int m, @Nullable HeadGradients b) {
        if (a == null || b == null) {
            return;
        }
        outputsOf(n, a, D_OUT[m], b.dOut());
        outputsOf(n, a, D_IN[m], b.dIn());
        outputsOf(n, a, D_GATE[m], b.dGate());
        outputsOf(n, a, D_WEIGHT[m], b.dNormWeight());
        outputsOf(m, b, D_OUT[n], a.dOut());
    }

    private static void outputsOf(int n, HeadGradients g, String otherName, @Nullable Tensor other) {
        if (g.dIn() != null) {
            CallCheck.disjoint(D_IN[n], g.dIn(), otherName, other);
        }
        if (g.dGate() != null) {
            CallCheck.disjoint(D_GATE[n], g.dGate(), otherName, other);
        }
        if (g.dNormWeight() != null) {
            CallCheck.disjoint(D_WEIGHT[n], g.dNormWeight(), otherName, other);
        }
    }

    private static void common(PrologueSettings settings, PrologueOperands o) {
        Tensor first = o.any();
        for (int n = 0; n < PARTS; n++) {
            ProjectedHeads part = o.part(n);
            if (part != null) {
                in(settings, n, part.in(), first);
                gate(settings, n, part);
                weight(settings, n, part.normWeight());
            }
        }
        positions(settings, o);
    }

    private static void in(PrologueSettings settings, int n, Tensor in, Tensor first) {
        Place.requireHost(IN[n], in);
        int heads = settings.heads(n);
        int last = in.rank() - 1;
        if (n == 0 && in.rank() == 5) {
            CallCheck.extent(IN[n], in, 2, "groups", settings.keyValueHeads(), "keyValueHeads");
            CallCheck.extent(
                    IN[n], in, 3, "heads", heads / settings.keyValueHeads(), "the number of query heads per group");
        } else {
            CallCheck.rank(IN[n], in, 4);
            CallCheck.extent(IN[n], in, 2, "heads", heads, n == 0 ? "queryHeads" : "keyValueHeads");
        }
        CallCheck.type(IN[n], in, settings.dataType());
        CallCheck.extent(IN[n], in, last, "elements", settings.dim(n), n == 2 ? "valueHeadDim" : "headDim");
        CallCheck.extent(IN[n], in, 0, "sequences", first.dim(0), "the batch");
        CallCheck.extent(IN[n], in, 1, "tokens", first.dim(1), "the number of tokens");
        CallCheck.contiguous(IN[n], in, last);
        CallCheck.unshared(IN[n], in);
    }

    private static void gate(PrologueSettings settings, int n, ProjectedHeads part) {
        Tensor gate = part.gate();
        boolean wanted = settings.gates()[n] != null;
        if (wanted != (gate != null)) {
            throw new IllegalArgumentException(GATE[n] + " is " + (gate == null ? "null" : "a " + gate)
                    + ", but the prologue was built with " + (wanted ? "such a gate" : "none"));
        }
        if (gate == null) {
            return;
        }
        Place.requireHost(GATE[n], gate);
        CallCheck.rank(GATE[n], gate, 4);
        CallCheck.floating(GATE[n], gate);
        CallCheck.extentOrOne(GATE[n], gate, 0, "sequences", part.in().dim(0), "the batch");
        CallCheck.extentOrOne(GATE[n], gate, 1, "tokens", part.in().dim(1), "the number of tokens");
        CallCheck.extentOrOne(GATE[n], gate, 2, "heads", settings.heads(n), "the number of heads");
        CallCheck.extentOrOne(GATE[n], gate, 3, "elements", settings.dim(n), "the head's dimension");
        if (gate.dim(3) > 1 && gate.stride(3) != 0) {
            CallCheck.contiguous(GATE[n], gate, 3);
        }
    }

    private static void weight(PrologueSettings settings, int n, @Nullable Tensor weight) {
        if (weight == null) {
            if (settings.isNormalized(n) && settings.plusOne()) {
                throw new IllegalArgumentException(
                        WEIGHT[n] + " is null, but the prologue was built with weights that stand for 1 + weight");
            }
            return;
        }
        if (!settings.isNormalized(n)) {
            throw new IllegalArgumentException(
                    WEIGHT[n] + " is a " + weight + ", but the prologue does not normalize these heads");
        }
        Place.requireHost(WEIGHT[n], weight);
        CallCheck.floating(WEIGHT[n], weight);
        if (weight.rank() != 1) {
            CallCheck.rank(WEIGHT[n], weight, 2);
            CallCheck.extentOrOne(WEIGHT[n], weight, 0, "heads", settings.heads(n), "the number of heads");
        }
        int last = weight.rank() - 1;
        CallCheck.extent(WEIGHT[n], weight, last, "elements", settings.dim(n), "headDim");
        CallCheck.contiguous(WEIGHT[n], weight, last);
    }

    private static void positions(PrologueSettings settings, PrologueOperands o) {
        RopeTable table = settings.table();
        Tensor positions = o.positions();
        Tensor tokens = o.any();
        if (table == null) {
            if (positions != null) {
                throw new IllegalArgumentException("positions is a " + positions + ", but the prologue has no rope");
            }
            return;
        }
        if (positions == null) {
            if (!tokens.isEmpty() && o.firstPosition() > table.positions() - tokens.dim(1)) {
                throw new IllegalArgumentException("firstPosition is " + o.firstPosition() + " of " + tokens.dim(1)
                        + " tokens, but the rope was built for " + table.positions() + " positions");
            }
            return;
        }
        Place.requireHost("positions", positions);
        CallCheck.rank("positions", positions, 2);
        CallCheck.type("positions", positions, DataType.I32);
        CallCheck.extentOrOne("positions", positions, 0, "sequences", tokens.dim(0), "the batch");
        CallCheck.extent("positions", positions, 1, "tokens", tokens.dim(1), "the number of tokens");
        for (long b = 0; b < positions.dim(0); b++) {
            for (long s = 0; s < positions.dim(1); s++) {
                long at = b * positions.stride(0) + s * positions.stride(1);
                int position = Elements.getInt(positions.segment(), at);
                if (position < 0 || position >= table.positions()) {
                    throw new IllegalArgumentException(
                            "positions[" + b + "][" + s + "] is " + position + ", but must be 0 to "
                                    + (table.positions() - 1) + ", the last that the rope was built for");
                }
            }
        }
    }

    /** An output must lie apart from all that is read; one view may be exactly the output. */
    private static void apart(String name, Tensor output, PrologueOperands o, @Nullable Tensor inPlace) {
        for (int n = 0; n < PARTS; n++) {
            ProjectedHeads part = o.part(n);
            if (part == null) {
                continue;
            }
            if (part.in() != inPlace) {
                CallCheck.disjoint(name, output, IN[n], part.in());
            }
            CallCheck.disjoint(name, output, GATE[n], part.gate());
            CallCheck.disjoint(name, output, WEIGHT[n], part.normWeight());
        }
        CallCheck.disjoint(name, output, "positions", o.positions());
    }

    private static void sameShape(String name, Tensor tensor, String ofName, Tensor of) {
        Place.requireHost(name, tensor);
        CallCheck.rank(name, tensor, of.rank());
        for (int axis = 0; axis < of.rank(); axis++) {
            if (tensor.dim(axis) != of.dim(axis)) {
                throw new IllegalArgumentException(name + " has " + tensor.dim(axis) + " elements on axis " + axis
                        + ", but " + ofName + " has " + of.dim(axis));
            }
        }
    }
}
