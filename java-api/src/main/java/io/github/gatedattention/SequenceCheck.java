package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** Checks that {@link Sequences} fit q and k. What the tensors hold is checked by whoever reads it: it may change. */
final class SequenceCheck {
    private static final long MOST_SEQUENCES = 1 << 30;
    private static final long MOST_KEYS_PER_PAGE = 1 << 16;

    private SequenceCheck() {}

    /** The number of sequences. */
    static long batch(Tensor q, @Nullable Sequences sequences) {
        Tensor cu = sequences == null ? null : sequences.cuSeqlensQ();
        return cu == null ? q.dim(0) : cu.dim(0) - 1;
    }

    /** The most keys that a sequence may have; of packed keys, those of all sequences. */
    static long mostKeys(Tensor k, @Nullable Sequences sequences) {
        Tensor table = sequences == null ? null : sequences.blockTable();
        return table == null ? k.dim(1) : table.dim(1) * k.dim(1);
    }

    /** Checks the batch, and all that describes the queries. */
    static void checkQueries(Tensor q, @Nullable Sequences sequences) {
        Tensor cu = sequences == null ? null : sequences.cuSeqlensQ();
        if (cu != null) {
            numbers("cuSeqlensQ", cu, 1);
            if (cu.dim(0) == 0) {
                throw new IllegalArgumentException(
                        "cuSeqlensQ has 0 elements, but must have 1 more than there are sequences");
            }
            CallCheck.extent("q", q, 0, "entries", 1, "the batch axis of packed queries");
        }
        long batch = batch(q, sequences);
        if (batch > MOST_SEQUENCES) {
            throw new IllegalArgumentException((cu == null ? "q has " : "cuSeqlensQ describes ") + batch
                    + " sequences" + (cu == null ? " on axis 0" : "") + ", but a call takes at most "
                    + MOST_SEQUENCES);
        }
        if (sequences != null) {
            perSequence("queryLengths", sequences.queryLengths(), batch, sequences);
        }
    }

    /** Checks axis 0 of k, and all that describes the keys. */
    static void checkKeys(Tensor q, Tensor k, @Nullable Sequences sequences) {
        long batch = batch(q, sequences);
        if (sequences == null) {
            CallCheck.extent("k", k, 0, "sequences", batch, "the batch of q");
            return;
        }
        Tensor cu = sequences.cuSeqlensK();
        Tensor table = sequences.blockTable();
        if (cu != null) {
            numbers("cuSeqlensK", cu, 1);
            CallCheck.extent("cuSeqlensK", cu, 0, "elements", batch + 1, "1 more than " + batchName(sequences));
            CallCheck.extent("k", k, 0, "entries", 1, "the batch axis of packed keys");
        } else if (table != null) {
            checkPages(table, k, batch, sequences);
        } else {
            CallCheck.extent("k", k, 0, "sequences", batch, batchName(sequences));
        }
        perSequence("keyLengths", sequences.keyLengths(), batch, sequences);
        perSequence("keyStarts", sequences.keyStarts(), batch, sequences);
    }

    private static void checkPages(Tensor table, Tensor k, long batch, Sequences sequences) {
        numbers("blockTable", table, 2);
        CallCheck.extent("blockTable", table, 0, "sequences", batch, batchName(sequences));
        if (k.dim(0) > Integer.MAX_VALUE) {
            throw new IllegalArgumentException(
                    "k has " + k.dim(0) + " pages on axis 0, but blockTable can name at most " + Integer.MAX_VALUE);
        }
        if (k.dim(1) < 1 || k.dim(1) > MOST_KEYS_PER_PAGE) {
            throw new IllegalArgumentException(
                    "k has " + k.dim(1) + " keys on axis 1, but a page has 1 to " + MOST_KEYS_PER_PAGE);
        }
        if (table.dim(1) > Integer.MAX_VALUE / k.dim(1)) {
            throw new IllegalArgumentException("blockTable has " + table.dim(1) + " pages on axis 1, but with the "
                    + k.dim(1) + " keys of a page a sequence can have at most " + Integer.MAX_VALUE / k.dim(1));
        }
        if (table.dim(1) > 0 && batch > SequenceTable.MOST_PAGES / table.dim(1)) {
            throw new IllegalArgumentException("blockTable has " + batch + " times " + table.dim(1)
                    + " elements, but a call takes at most " + SequenceTable.MOST_PAGES);
        }
    }

    private static void perSequence(String name, @Nullable Tensor tensor, long batch, Sequences sequences) {
        if (tensor != null) {
            numbers(name, tensor, 1);
            CallCheck.extent(name, tensor, 0, "sequences", batch, batchName(sequences));
        }
    }

    private static void numbers(String name, Tensor tensor, int rank) {
        CallCheck.rank(name, tensor, rank);
        CallCheck.type(name, tensor, DataType.I32);
        CallCheck.unshared(name, tensor);
    }

    private static String batchName(Sequences sequences) {
        return sequences.cuSeqlensQ() == null ? "the batch of q" : "the number of sequences of cuSeqlensQ";
    }
}
