package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/**
 * How much a call has to compute and to move.
 *
 * @param flop {@code 2 (D + Dv)} per visible pair of query and key
 * @param bytes inputs read once, keys in use only, plus outputs written once
 */
record Work(long flop, long bytes) {

    static Work of(Settings settings, Operands o) {
        SequenceTable sequences = new SequenceTable();
        sequences.read(o.q(), o.k(), o.sequences());
        long pairs = 0;
        long keys = 0;
        for (int b = 0; b < sequences.batch(); b++) {
            long seqQ = sequences.queries(b);
            long length = sequences.keys(b);
            keys += length;
            for (long i = 0; i < seqQ; i++) {
                long first = settings.mask().firstKey(i, seqQ, length);
                pairs += Math.max(0, settings.mask().endKey(i, seqQ, length) - first);
            }
        }
        long dims = (long) settings.headDim() + settings.valueHeadDim();
        long keyBytes =
                keys * settings.keyValueHeads() * (dims * o.k().dataType().byteSize() + scaleBytes(o.scales()));
        long bytes = keyBytes
                + bytes(o.q())
                + bytes(o.gate())
                + bytes(o.normWeight())
                + bytes(o.sequences())
                + bytes(o.sink());
        return new Work(2 * dims * settings.queryHeads() * pairs, bytes + bytes(o.out()) + bytes(o.lse()));
    }

    /** Per token and head. */
    private static long scaleBytes(@Nullable Scales scales) {
        return scales == null ? 0 : (long) Scales.TENSORS * Float.BYTES;
    }

    private static long bytes(@Nullable Sequences sequences) {
        long bytes = 0;
        for (int n = 0; sequences != null && n < Sequences.TENSORS; n++) {
            bytes += bytes(sequences.tensor(n));
        }
        return bytes;
    }

    /** Bytes of the elements, each counted once however often it is repeated by a stride of 0. */
    private static long bytes(@Nullable Tensor tensor) {
        if (tensor == null) {
            return 0;
        }
        long elements = 1;
        for (int axis = 0; axis < tensor.rank(); axis++) {
            boolean repeated = tensor.stride(axis) == 0 && tensor.dim(axis) > 0;
            elements *= repeated ? 1 : tensor.dim(axis);
        }
        return elements * tensor.dataType().byteSize();
    }
}
