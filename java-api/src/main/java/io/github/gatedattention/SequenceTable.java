package io.github.gatedattention;

import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * Where the rows of each sequence of a call lie, whatever describes them. Everything is read once and checked as it was
 * read: others may write to the tensors meanwhile.
 *
 * <p>Queries and keys of a sequence are counted from 0; keys before its start are none of its keys.
 */
final class SequenceTable {
    /** Elements of a block table at most. */
    static final long MOST_PAGES = Integer.MAX_VALUE - 64;

    private int batch;
    private long seqQ;
    private boolean packedQueries;
    private boolean packedKeys;
    private int pageSize; // 0: not paged
    private int pagesPerSequence;

    // Per sequence; as large as any call needed so far.
    private long[] queryRow = {};
    private long[] queries = {};
    private long[] keyRow = {};
    private long[] keys = {};
    private int[] pages = {}; // [batch, pagesPerSequence], set where there are keys

    /**
     * Reads; {@link SequenceCheck} has checked the shapes.
     *
     * @throws IllegalArgumentException when a length or a page is out of range
     */
    void read(Tensor q, Tensor k, @Nullable Sequences sequences) {
        batch = Math.toIntExact(SequenceCheck.batch(q, sequences));
        seqQ = q.dim(1);
        long mostKeys = SequenceCheck.mostKeys(k, sequences);
        if (queries.length < batch) {
            queryRow = new long[batch];
            queries = new long[batch];
            keyRow = new long[batch];
            keys = new long[batch];
        }
        packedQueries = false;
        packedKeys = false;
        pageSize = 0;
        Arrays.fill(queryRow, 0, batch, 0);
        Arrays.fill(queries, 0, batch, seqQ);
        Arrays.fill(keyRow, 0, batch, 0);
        Arrays.fill(keys, 0, batch, mostKeys);
        if (sequences != null) {
            readQueries(sequences);
            readKeys(sequences, mostKeys);
            readPages(sequences.blockTable(), k);
        }
    }

    private void readQueries(Sequences sequences) {
        packedQueries = sequences.cuSeqlensQ() != null;
        if (sequences.cuSeqlensQ() != null) {
            readCumulative("cuSeqlensQ", sequences.cuSeqlensQ(), queryRow, queries, seqQ, "the queries of q");
        } else if (sequences.queryLengths() != null) {
            for (int b = 0; b < batch; b++) {
                queries[b] = readLength("queryLengths", sequences.queryLengths(), b, seqQ, "the queries of q");
            }
        }
    }

    private void readKeys(Sequences sequences, long most) {
        packedKeys = sequences.cuSeqlensK() != null;
        if (sequences.cuSeqlensK() != null) {
            readCumulative("cuSeqlensK", sequences.cuSeqlensK(), keyRow, keys, most, "the keys of k");
        } else if (sequences.keyLengths() != null) {
            String limit =
                    sequences.blockTable() == null ? "the keys of k" : "the keys of the pages in a row of blockTable";
            for (int b = 0; b < batch; b++) {
                keys[b] = readLength("keyLengths", sequences.keyLengths(), b, most, limit);
            }
        }
        if (sequences.keyStarts() != null) {
            for (int b = 0; b < batch; b++) {
                keyRow[b] = readLength("keyStarts", sequences.keyStarts(), b, keys[b], "the keys of the sequence");
                keys[b] -= keyRow[b];
            }
        }
    }

    private static int readLength(String name, Tensor tensor, int b, long most, String limit) {
        int length = Elements.getInt(tensor.segment(), b * tensor.stride(0));
        if (length < 0 || length > most) {
            throw new IllegalArgumentException(
                    name + "[" + b + "] is " + length + ", but must be 0 to " + most + ", " + limit);
        }
        return length;
    }

    private void readCumulative(String name, Tensor tensor, long[] rows, long[] counts, long total, String limit) {
        int begin = Elements.getInt(tensor.segment(), 0);
        if (begin != 0) {
            throw new IllegalArgumentException(name + "[0] is " + begin + ", but must be 0");
        }
        for (int b = 0; b < batch; b++) {
            int end = Elements.getInt(tensor.segment(), (b + 1) * tensor.stride(0));
            if (end < begin) {
                throw new IllegalArgumentException(
                        name + "[" + (b + 1) + "] is " + end + ", but must be at least the " + begin + " before it");
            }
            rows[b] = begin;
            counts[b] = end - begin;
            begin = end;
        }
        if (begin != total) {
            throw new IllegalArgumentException(
                    name + "[" + batch + "] is " + begin + ", but must be " + total + ", " + limit);
        }
    }

    /** Only the pages that hold keys: what the table says beyond them does not matter. */
    private void readPages(@Nullable Tensor table, Tensor k) {
        if (table == null) {
            return;
        }
        pageSize = (int) k.dim(1);
        pagesPerSequence = (int) table.dim(1);
        int size = batch * pagesPerSequence;
        pages = pages.length < size ? new int[size] : pages;
        for (int b = 0; b < batch; b++) {
            long used = Math.ceilDiv(keyRow[b] + keys[b], (long) pageSize);
            for (int i = 0; i < used; i++) {
                int page = Elements.getInt(table.segment(), b * table.stride(0) + i * table.stride(1));
                if (page < 0 || page >= k.dim(0)) {
                    throw new IllegalArgumentException("blockTable[" + b + "][" + i + "] is " + page + ", but k has "
                            + k.dim(0) + " pages, counted from 0");
                }
                pages[b * pagesPerSequence + i] = page;
            }
        }
    }

    int batch() {
        return batch;
    }

    /** How many queries attend. */
    long queries(int b) {
        return queries[b];
    }

    /** How many rows after them are written as rows that see no key. */
    long padding(int b) {
        return packedQueries ? 0 : seqQ - queries[b];
    }

    /** How many keys may be seen. */
    long keys(int b) {
        return keys[b];
    }

    /** How many rows of k and v lie before the first key on the sequence's own entry: padding, unless the keys are packed. */
    long keyRow(int b) {
        return keyRow[b];
    }

    boolean hasPackedKeys() {
        return packedKeys;
    }

    /** The place on the batch axis of q, gate, out and lse. */
    int queryEntry(int b) {
        return packedQueries ? 0 : b;
    }

    /** The place of query i, or of a row of padding after them, on their sequence axis. */
    long queryRow(int b, long i) {
        return queryRow[b] + i;
    }

    /** Where a row of k or v begins, in elements. */
    long keyOffset(Tensor tensor, int b, long j, int head) {
        long row = keyRow[b] + j;
        long entry = packedKeys ? 0 : b;
        if (pageSize > 0) {
            int at = (int) row;
            entry = pages[b * pagesPerSequence + at / pageSize];
            row = at % pageSize;
        }
        return entry * tensor.stride(0) + row * tensor.stride(1) + head * tensor.stride(2);
    }
}
