package io.github.gatedattention;

import static io.github.gatedattention.CallCheck.disjoint;
import static io.github.gatedattention.CallCheck.extent;

/** Checks that the tensors of one merge fit the settings and each other; the shapes are those of {@link MergeOperands}. */
final class MergeCheck {
    private static final String BATCH = "the batch of partialOut";
    private static final String QUERIES = "the number of queries of partialOut";

    private MergeCheck() {}

    static void check(Settings settings, MergeOperands o) {
        Place.check(settings, o);
        int heads = settings.queryHeads();
        int valueDim = settings.valueHeadDim();
        Tensor partialOut = o.partialOut();
        CallCheck.rank("partialOut", partialOut, 5);
        CallCheck.floating("partialOut", partialOut);
        if (partialOut.dim(0) < 1) {
            throw new IllegalArgumentException(
                    "partialOut has 0 partial results on axis 0, but a merge needs at least 1");
        }
        extent("partialOut", partialOut, 3, "heads", heads, "queryHeads");
        extent("partialOut", partialOut, 4, "elements", valueDim, "valueHeadDim");
        CallCheck.contiguous("partialOut", partialOut, 4);
        CallCheck.unshared("partialOut", partialOut);
        long batch = partialOut.dim(1);
        long queries = partialOut.dim(2);

        Tensor partialLse = o.partialLse();
        CallCheck.rank("partialLse", partialLse, 4);
        CallCheck.type("partialLse", partialLse, DataType.F32);
        extent("partialLse", partialLse, 0, "partial results", partialOut.dim(0), "the number in partialOut");
        extent("partialLse", partialLse, 1, "sequences", batch, BATCH);
        extent("partialLse", partialLse, 2, "heads", heads, "queryHeads");
        extent("partialLse", partialLse, 3, "queries", queries, QUERIES);
        CallCheck.unshared("partialLse", partialLse);

        CallCheck.checkOut(settings, o.out(), batch, queries, BATCH, QUERIES);
        CallCheck.checkGate(settings.gate(), o.gate(), batch, queries, heads, valueDim, BATCH, QUERIES);
        CallCheck.checkNormWeight(settings.gate(), o.normWeight(), heads, valueDim);
        CallCheck.checkSink(o.sink(), heads);
        CallCheck.checkLse(o.lse(), batch, queries, heads, BATCH, QUERIES);
        checkOverlaps(o);
    }

    private static void checkOverlaps(MergeOperands o) {
        Tensor out = o.out();
        if (o.gate() != null && !out.isSameView(o.gate())) {
            disjoint("out", out, "gate", o.gate());
        }
        disjoint("out", out, "partialOut", o.partialOut());
        disjoint("out", out, "partialLse", o.partialLse());
        disjoint("out", out, "normWeight", o.normWeight());
        disjoint("out", out, "sink", o.sink());
        Tensor lse = o.lse();
        if (lse != null) {
            disjoint("lse", lse, "out", out);
            disjoint("lse", lse, "partialOut", o.partialOut());
            disjoint("lse", lse, "partialLse", o.partialLse());
            disjoint("lse", lse, "gate", o.gate());
            disjoint("lse", lse, "normWeight", o.normWeight());
            disjoint("lse", lse, "sink", o.sink());
        }
    }
}
