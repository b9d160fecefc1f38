package io.github.gatedattention;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * Where the sequences of a batch lie, and how long each is, when they are not all full.
 *
 * <p>All tensors are I32. B is the number of sequences. Each axis, that of the queries and that of the keys, is described
 * one way:
 *
 * <ul>
 *   <li><b>padded</b>: every sequence has its entry of the batch axis; lengths say how much of it is in use, and starts
 *       say where its keys begin (left padding). Rows of queries after the length are written as rows that see no key.
 *   <li><b>packed</b>: the sequences follow one another on the sequence axis of a tensor whose batch axis is 1; sequence b
 *       has the rows from {@code cu[b]} to {@code cu[b + 1]}.
 *   <li><b>paged</b> (keys only): k and v are {@code [pages, pageSize, Hkv, D or Dv]}; key j of sequence b is row
 *       {@code j % pageSize} of page {@code blockTable[b][j / pageSize]}. Sequences may share pages.
 * </ul>
 *
 * {@snippet file="io/github/gatedattention/examples/ExamplesTest.java" region="paged"}
 *
 * <p>Causal masks and windows are aligned to each sequence's own last query and last key. A sequence has the bits that it
 * has alone.
 *
 * @param queryLengths queries per sequence {@code [B]}, each 0 to Sq; null: Sq
 * @param keyLengths keys per sequence {@code [B]}, each 0 to Sk (paged: the columns of the block table times the page
 *     size); null: all
 * @param keyStarts the first key of each sequence {@code [B]}, each 0 to its key length; null: 0
 * @param cuSeqlensQ where the queries of each sequence begin {@code [B + 1]}, from 0 to Sq, never falling; null: not packed
 * @param cuSeqlensK where its keys begin {@code [B + 1]}, from 0 to Sk; null: not packed
 * @param blockTable the pages of each sequence {@code [B, most pages]}; what stands behind its last key is not read;
 *     null: not paged
 */
public record Sequences(
        @Nullable Tensor queryLengths,
        @Nullable Tensor keyLengths,
        @Nullable Tensor keyStarts,
        @Nullable Tensor cuSeqlensQ,
        @Nullable Tensor cuSeqlensK,
        @Nullable Tensor blockTable) {

    /** How many tensors there are. */
    static final int TENSORS = 6;

    /**
     * Checks that each axis is described one way.
     *
     * @throws IllegalArgumentException when two of the tensors contradict each other
     */
    public Sequences {
        exclusive("cuSeqlensQ", cuSeqlensQ, "queryLengths", queryLengths);
        exclusive("cuSeqlensK", cuSeqlensK, "keyLengths", keyLengths);
        exclusive("cuSeqlensK", cuSeqlensK, "keyStarts", keyStarts);
        exclusive("cuSeqlensK", cuSeqlensK, "blockTable", blockTable);
    }

    /**
     * Padded on the right: sequences begin at 0.
     *
     * @param queryLengths queries per sequence {@code [B]}, or null for all
     * @param keyLengths keys per sequence {@code [B]}, or null for all
     * @return the sequences
     */
    public static Sequences padded(@Nullable Tensor queryLengths, @Nullable Tensor keyLengths) {
        return new Sequences(queryLengths, keyLengths, null, null, null, null);
    }

    /**
     * Padded on the left: keys before the start are never seen, and a causal mask leaves the queries there no key.
     *
     * @param keyStarts the first key of each sequence {@code [B]}
     * @return the sequences
     */
    public static Sequences leftPadded(Tensor keyStarts) {
        return new Sequences(null, null, Objects.requireNonNull(keyStarts, "keyStarts is null"), null, null, null);
    }

    /**
     * Packed without gaps.
     *
     * @param cuSeqlensQ where the queries of each sequence begin {@code [B + 1]}
     * @param cuSeqlensK where its keys begin {@code [B + 1]}
     * @return the sequences
     */
    public static Sequences packed(Tensor cuSeqlensQ, Tensor cuSeqlensK) {
        Objects.requireNonNull(cuSeqlensQ, "cuSeqlensQ is null");
        Objects.requireNonNull(cuSeqlensK, "cuSeqlensK is null");
        return new Sequences(null, null, null, cuSeqlensQ, cuSeqlensK, null);
    }

    /**
     * A paged cache; each sequence has one entry of queries.
     *
     * @param blockTable the pages of each sequence {@code [B, most pages]}
     * @param keyLengths keys per sequence {@code [B]}
     * @return the sequences
     */
    public static Sequences paged(Tensor blockTable, Tensor keyLengths) {
        Objects.requireNonNull(blockTable, "blockTable is null");
        Objects.requireNonNull(keyLengths, "keyLengths is null");
        return new Sequences(null, keyLengths, null, null, null, blockTable);
    }

    /**
     * The same keys, with queries packed: a batch where some sequences prefill and others decode.
     *
     * @param cuSeqlens where the queries of each sequence begin {@code [B + 1]}
     * @return the changed sequences
     */
    public Sequences withPackedQueries(Tensor cuSeqlens) {
        Objects.requireNonNull(cuSeqlens, "cuSeqlens is null");
        return new Sequences(null, keyLengths, keyStarts, cuSeqlens, cuSeqlensK, blockTable);
    }

    /** The tensors by number, for what is done with each of them alike. */
    @Nullable
    Tensor tensor(int n) {
        return switch (n) {
            case 0 -> queryLengths;
            case 1 -> keyLengths;
            case 2 -> keyStarts;
            case 3 -> cuSeqlensQ;
            case 4 -> cuSeqlensK;
            case 5 -> blockTable;
            default -> throw new IndexOutOfBoundsException(n);
        };
    }

    static String name(int n) {
        return switch (n) {
            case 0 -> "queryLengths";
            case 1 -> "keyLengths";
            case 2 -> "keyStarts";
            case 3 -> "cuSeqlensQ";
            case 4 -> "cuSeqlensK";
            case 5 -> "blockTable";
            default -> throw new IndexOutOfBoundsException(n);
        };
    }

    private static void exclusive(String name, @Nullable Tensor one, String otherName, @Nullable Tensor other) {
        if (one != null && other != null) {
            throw new IllegalArgumentException(
                    name + " and " + otherName + " are both given; only one of them can say where the sequences are");
        }
    }
}
