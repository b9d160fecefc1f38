package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** Checks that the tensors of one call fit the settings and each other; the shapes are those of {@link Operands}. */
final class CallCheck {
    static final String BATCH = "the batch of q";
    static final String QUERIES = "the number of queries of q";

    private CallCheck() {}

    static void check(Settings settings, Operands o) {
        check(
                settings,
                o.q(),
                o.k(),
                o.v(),
                o.gate(),
                o.out(),
                o.normWeight(),
                o.sequences(),
                o.lse(),
                o.sink(),
                o.scales());
    }

    static void check(
            Settings settings,
            Tensor q,
            Tensor k,
            Tensor v,
            @Nullable Tensor gate,
            Tensor out,
            @Nullable Tensor normWeight,
            @Nullable Sequences sequences,
            @Nullable Tensor lse,
            @Nullable Tensor sink,
            @Nullable Scales scales) {
        Place.check(settings, q, k, v, gate, out, normWeight, sequences, lse, sink, scales);
        checkInputs(settings, q, k, v, sequences);
        checkScales(scales, k);
        int heads = settings.queryHeads();
        int valueDim = settings.valueHeadDim();
        long batch = q.dim(0);
        long queries = q.dim(1);
        checkOut(settings, out, batch, queries, BATCH, QUERIES);
        checkGate(settings.gate(), gate, batch, queries, heads, valueDim, BATCH, QUERIES);
        checkNormWeight(settings.gate(), normWeight, heads, valueDim);
        checkSink(sink, heads);
        checkLse(lse, batch, queries, heads, BATCH, QUERIES);
        checkOverlaps(q, k, v, gate, out, normWeight, sequences, lse, sink, scales);
    }

    /** What every call reads: queries, keys, values, and where their sequences lie. */
    static void checkInputs(Settings settings, Tensor q, Tensor k, Tensor v, @Nullable Sequences sequences) {
        DataType type = settings.dataType();

        rank("q", q, 4);
        type("q", q, type);
        extent("q", q, 2, "heads", settings.queryHeads(), "queryHeads");
        extent("q", q, 3, "elements", settings.headDim(), "headDim");
        contiguous("q", q, 3);
        unshared("q", q);
        SequenceCheck.checkQueries(q, sequences);

        rank("k", k, 4);
        keyType(k, type);
        extent("k", k, 2, "heads", settings.keyValueHeads(), "keyValueHeads");
        extent("k", k, 3, "elements", settings.headDim(), "headDim");
        contiguous("k", k, 3);
        unshared("k", k);
        SequenceCheck.checkKeys(q, k, sequences);

        rank("v", v, 4);
        if (v.dataType() != k.dataType()) {
            throw new IllegalArgumentException(
                    "v is " + v.dataType() + ", but must be " + k.dataType() + ", the type of k");
        }
        extent("v", v, 0, "sequences", k.dim(0), "axis 0 of k");
        extent("v", v, 1, "keys", k.dim(1), "the number of keys of k");
        extent("v", v, 2, "heads", settings.keyValueHeads(), "keyValueHeads");
        extent("v", v, 3, "elements", settings.valueHeadDim(), "valueHeadDim");
        contiguous("v", v, 3);
        unshared("v", v);
    }

    /** Keys may be narrower than F32 queries, and whole numbers under any. */
    private static void keyType(Tensor k, DataType type) {
        DataType given = k.dataType();
        if (given != type && given != DataType.I8 && !(type == DataType.F32 && given.isFloating())) {
            throw new IllegalArgumentException("k is " + given + ", but the attention's dataType is " + type
                    + "; keys are "
                    + (type == DataType.F32 ? "F32, BF16, F16" : type) + " or I8 then");
        }
    }

    static void checkScales(@Nullable Scales scales, Tensor k) {
        if (scales == null) {
            if (k.dataType() == DataType.I8) {
                throw new IllegalArgumentException(
                        "k is I8, but there are no scales; give them with Operands.withScales");
            }
            return;
        }
        if (k.dataType() != DataType.I8) {
            throw new IllegalArgumentException(
                    "scales are given, but k is " + k.dataType() + "; only I8 keys and values have scales");
        }
        for (int n = 0; n < Scales.TENSORS; n++) {
            String name = Scales.name(n);
            Tensor scale = scales.tensor(n);
            rank(name, scale, 3);
            type(name, scale, DataType.F32);
            extent(name, scale, 0, "sequences", k.dim(0), "axis 0 of k");
            extent(name, scale, 1, "keys", k.dim(1), "the number of keys of k");
            extent(name, scale, 2, "heads", k.dim(2), "keyValueHeads");
            unshared(name, scale);
        }
    }

    /** The names say, in words made before, where the batch and the number of queries come from. */
    static void checkOut(
            Settings settings, Tensor out, long batch, long queries, String batchName, String queriesName) {
        checkRows("out", settings, out, batch, queries, batchName, queriesName);
        output("out", out);
    }

    /** A row of Dv elements per query and head, as out and its gradient have. */
    static void checkRows(
            String name,
            Settings settings,
            Tensor rows,
            long batch,
            long queries,
            String batchName,
            String queriesName) {
        rank(name, rows, 4);
        type(name, rows, settings.dataType());
        checkRowShape(name, settings, rows, batch, queries, batchName, queriesName);
    }

    /** The same, of any type. */
    static void checkRowShape(
            String name,
            Settings settings,
            Tensor rows,
            long batch,
            long queries,
            String batchName,
            String queriesName) {
        rank(name, rows, 4);
        extent(name, rows, 0, "sequences", batch, batchName);
        extent(name, rows, 1, "queries", queries, queriesName);
        extent(name, rows, 2, "heads", settings.queryHeads(), "queryHeads");
        extent(name, rows, 3, "elements", settings.valueHeadDim(), "valueHeadDim");
        contiguous(name, rows, 3);
    }

    static void checkLse(
            @Nullable Tensor lse, long batch, long queries, int heads, String batchName, String queriesName) {
        if (lse != null) {
            checkLseShape(lse, batch, queries, heads, batchName, queriesName);
            output("lse", lse);
        }
    }

    static void checkLseShape(Tensor lse, long batch, long queries, int heads, String batchName, String queriesName) {
        rank("lse", lse, 3);
        type("lse", lse, DataType.F32);
        extent("lse", lse, 0, "sequences", batch, batchName);
        extent("lse", lse, 1, "heads", heads, "queryHeads");
        extent("lse", lse, 2, "queries", queries, queriesName);
    }

    static void checkSink(@Nullable Tensor sink, int heads) {
        if (sink != null) {
            rank("sink", sink, 1);
            floating("sink", sink);
            extentOrOne("sink", sink, 0, "heads", heads, "queryHeads");
        }
    }

    static void checkGate(
            Gate setting,
            @Nullable Tensor gate,
            long batch,
            long queries,
            int heads,
            int valueDim,
            String batchName,
            String queriesName) {
        if (gate == null) {
            if (setting.isPresent()) {
                throw new IllegalArgumentException(
                        "gate is null, but the attention was built with gate " + setting + "; pass its scores");
            }
            return;
        }
        if (!setting.isPresent()) {
            throw new IllegalArgumentException(
                    "gate is a " + gate + ", but the attention was built with Gate.none(); pass null");
        }
        rank("gate", gate, 4);
        floating("gate", gate);
        extentOrOne("gate", gate, 0, "sequences", batch, batchName);
        extentOrOne("gate", gate, 1, "queries", queries, queriesName);
        extentOrOne("gate", gate, 2, "heads", heads, "queryHeads");
        if (!setting.isHeadwise()) {
            extent("gate", gate, 3, "elements", valueDim, "valueHeadDim of an elementwise gate");
            contiguous("gate", gate, 3);
        } else if (gate.dim(3) != 1 && !(gate.dim(3) == valueDim && gate.stride(3) == 0)) {
            throw new IllegalArgumentException(
                    "gate has " + gate.dim(3) + " elements on axis 3, but a headwise gate has 1");
        }
    }

    static void checkNormWeight(Gate setting, @Nullable Tensor weight, int heads, int valueDim) {
        if (weight == null) {
            return;
        }
        if (!setting.hasRmsNorm()) {
            throw new IllegalArgumentException("normWeight is a " + weight + ", but the attention's gate is " + setting
                    + ", without RMSNorm; pass null or build with Gate.withRmsNorm");
        }
        rank("normWeight", weight, 2);
        floating("normWeight", weight);
        extentOrOne("normWeight", weight, 0, "heads", heads, "queryHeads");
        extentOrOne("normWeight", weight, 1, "elements", valueDim, "valueHeadDim");
        if (weight.dim(1) != 1 && weight.stride(1) != 0) {
            contiguous("normWeight", weight, 1);
        }
    }

    private static void checkOverlaps(
            Tensor q,
            Tensor k,
            Tensor v,
            @Nullable Tensor gate,
            Tensor out,
            @Nullable Tensor normWeight,
            @Nullable Sequences sequences,
            @Nullable Tensor lse,
            @Nullable Tensor sink,
            @Nullable Scales scales) {
        if (!out.isSameView(q)) {
            disjoint("out", out, "q", q);
        }
        if (gate != null && !out.isSameView(gate)) {
            disjoint("out", out, "gate", gate);
        }
        disjoint("out", out, "k", k);
        disjoint("out", out, "v", v);
        disjoint("out", out, "normWeight", normWeight);
        disjoint("out", out, "sink", sink);
        disjoint("out", out, sequences);
        disjoint("out", out, scales);
        if (lse != null) {
            disjoint("lse", lse, "out", out);
            disjoint("lse", lse, "q", q);
            disjoint("lse", lse, "k", k);
            disjoint("lse", lse, "v", v);
            disjoint("lse", lse, "gate", gate);
            disjoint("lse", lse, "normWeight", normWeight);
            disjoint("lse", lse, "sink", sink);
            disjoint("lse", lse, sequences);
            disjoint("lse", lse, scales);
        }
    }

    private static void disjoint(String name, Tensor output, @Nullable Sequences sequences) {
        for (int n = 0; sequences != null && n < Sequences.TENSORS; n++) {
            disjoint(name, output, Sequences.name(n), sequences.tensor(n));
        }
    }

    private static void disjoint(String name, Tensor output, @Nullable Scales scales) {
        for (int n = 0; scales != null && n < Scales.TENSORS; n++) {
            disjoint(name, output, Scales.name(n), scales.tensor(n));
        }
    }

    static void disjoint(String name, Tensor output, String otherName, @Nullable Tensor other) {
        if (other != null && Overlap.exists(output, other)) {
            // Memory of a closed arena may be another's by now: being closed is then what is wrong.
            requireOpen(name, output);
            requireOpen(otherName, other);
            boolean inPlace = name.equals("out") && (otherName.equals("q") || otherName.equals("gate"));
            throw new IllegalArgumentException(name + " (" + place(output) + ") overlaps " + otherName + " ("
                    + place(other) + "), but "
                    + (inPlace ? "may only be exactly the same view or lie apart" : "must lie apart from it"));
        }
    }

    static void requireOpen(String name, Tensor tensor) {
        if (!tensor.memory().scope().isAlive()) {
            throw new IllegalStateException("the arena of " + name + " is closed, but a call needs it open");
        }
    }

    private static String place(Tensor tensor) {
        return tensor + " at 0x" + Long.toHexString(tensor.address());
    }

    static void rank(String name, Tensor tensor, int rank) {
        if (tensor.rank() != rank) {
            throw new IllegalArgumentException(
                    name + " has " + tensor.rank() + " axes, but must have " + rank + "; it is a " + tensor);
        }
    }

    static void type(String name, Tensor tensor, DataType type) {
        if (tensor.dataType() != type) {
            boolean always =
                    name.equals("lse") || name.endsWith("Lse") || name.endsWith("Scales") || type == DataType.I32;
            String reason = always ? "must be " : "the attention's dataType is ";
            throw new IllegalArgumentException(name + " is " + tensor.dataType() + ", but " + reason + type);
        }
    }

    static void floating(String name, Tensor tensor) {
        if (!tensor.dataType().isFloating()) {
            throw new IllegalArgumentException(name + " is " + tensor.dataType() + ", but must be F32, BF16 or F16");
        }
    }

    static void extent(String name, Tensor tensor, int axis, String unit, long expected, String expectedName) {
        if (tensor.dim(axis) != expected) {
            throw new IllegalArgumentException(name + " has " + tensor.dim(axis) + " " + unit + " on axis " + axis
                    + ", but " + expectedName + " is " + expected);
        }
    }

    static void extentOrOne(String name, Tensor tensor, int axis, String unit, long expected, String expectedName) {
        if (tensor.dim(axis) != 1 && tensor.dim(axis) != expected) {
            throw new IllegalArgumentException(name + " has " + tensor.dim(axis) + " " + unit + " on axis " + axis
                    + ", but must have 1 or as many as " + expectedName + ", which is " + expected);
        }
    }

    static void contiguous(String name, Tensor tensor, int axis) {
        if (tensor.stride(axis) != 1) {
            throw new IllegalArgumentException(name + " has stride " + tensor.stride(axis) + " on axis " + axis
                    + ", but the last axis must be contiguous, with stride 1; use Tensor.copyFrom");
        }
    }

    static void unshared(String name, Tensor tensor) {
        for (int axis = 0; axis < tensor.rank(); axis++) {
            if (tensor.stride(axis) == 0 && tensor.dim(axis) > 1) {
                throw new IllegalArgumentException(
                        name + " has stride 0 on axis " + axis + " of " + tensor.dim(axis)
                                + " elements, but only gate, normWeight and sink may be shared along an axis; use Tensor.copyFrom");
            }
        }
    }

    static void output(String name, Tensor tensor) {
        if (tensor.memory().isReadOnly()) {
            throw new IllegalArgumentException(
                    name + " is read-only, but the call writes to it; pass a writable segment");
        }
        if (!tensor.hasSeparateElements()) {
            throw new IllegalArgumentException(name + " is a " + tensor
                    + ", where several elements share memory, but an output needs a place for each");
        }
    }
}
