package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/**
 * How much a call has to compute and to move.
 *
 * @param flop {@code 2 (D + Dv)} per visible pair of query and key, forward
 * @param bytes inputs read once, keys in use only, plus outputs written once
 */
record Work(long flop, long bytes) {

    static Work of(Settings settings, Operands o) {
        Seen seen = Seen.of(settings, o);
        return new Work(
                2 * seen.pairs * dims(settings),
                seen.keyBytes(settings, o) + inputBytes(o) + bytes(o.out()) + bytes(o.lse()));
    }

    /**
     * Of a backward call: per pair, twice the elements of each product. Y is computed anew; then come the scores, {@code dY V}, and
     * a product for each gradient.
     */
    static Work of(Settings settings, BackwardOperands o) {
        long dim = settings.headDim();
        long valueDim = settings.valueHeadDim();
        boolean scores = o.dQ() != null || o.dK() != null;
        long products = dims(settings)
                + (scores || o.dV() != null ? dim : 0)
                + (scores ? valueDim : 0)
                + (o.dQ() != null ? dim : 0)
                + (o.dK() != null ? dim : 0)
                + (o.dV() != null ? valueDim : 0);
        Seen seen = Seen.of(settings, o.forward());
        long bytes = seen.keyBytes(settings, o.forward()) + inputBytes(o.forward()) + bytes(o.dOut());
        for (int n = BackwardOperands.FIRST_GRADIENT; n < BackwardOperands.FIRST_OF_SEQUENCES; n++) {
            bytes += bytes(o.tensor(n));
        }
        return new Work(2 * seen.pairs * products, bytes);
    }

    private static long dims(Settings settings) {
        return (long) settings.headDim() + settings.valueHeadDim();
    }

    private static long inputBytes(Operands o) {
        return bytes(o.q()) + bytes(o.gate()) + bytes(o.normWeight()) + bytes(o.sequences()) + bytes(o.sink());
    }

    /** Pairs of a query of any head and a key it sees, and keys in use. */
    private record Seen(long pairs, long keys) {
        static Seen of(Settings settings, Operands o) {
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
            return new Seen(pairs * settings.queryHeads(), keys);
        }

        long keyBytes(Settings settings, Operands o) {
            return keys
                    * settings.keyValueHeads()
                    * (dims(settings) * o.k().dataType().byteSize() + scaleBytes(o.scales()));
        }
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
