package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** Operands for a plan: contiguous tensors that have a shape but no memory stand for those that are not there yet. */
final class PlannedOperands {
    private PlannedOperands() {}

    static Operands of(Settings settings, Tensor q, Tensor k) {
        CallCheck.rank("q", q, 4);
        CallCheck.rank("k", k, 4);
        long batch = q.dim(0);
        long heads = settings.queryHeads();
        long valueDim = settings.valueHeadDim();
        DataType type = settings.dataType();
        Tensor v = Tensor.withoutMemory(k.dataType(), k.dim(0), k.dim(1), settings.keyValueHeads(), valueDim);
        Tensor out = Tensor.withoutMemory(type, batch, q.dim(1), heads, valueDim);
        if (!settings.gate().isPresent()) {
            return Operands.of(q, k, v, null, out).withScales(scales(settings, k));
        }
        long scores = settings.gate().isHeadwise() ? 1 : valueDim;
        Tensor gate = Tensor.withoutMemory(type, batch, q.dim(1), heads, scores);
        return Operands.of(q, k, v, gate, out).withScales(scales(settings, k));
    }

    private static @Nullable Scales scales(Settings settings, Tensor k) {
        if (k.dataType() != DataType.I8) {
            return null;
        }
        Tensor scales = Tensor.withoutMemory(DataType.F32, k.dim(0), k.dim(1), settings.keyValueHeads());
        return new Scales(scales, scales);
    }
}
