package io.github.gatedattention;

import java.util.ArrayList;
import java.util.List;

/**
 * What {@link GatedAttention#measure(Operands, AttentionProbe)} is to measure. The share of the first token is always measured: it
 * costs one score per query. Further ranges cost a score per query and key of theirs; entropy and maps cost one for all that a query
 * sees, about half a forward call.
 *
 * @param ranges the key ranges whose shares are wanted
 * @param entropy whether the entropy of each head is
 * @param mapCells the rows and columns that a map of each head may have at most; 0: no maps
 */
public record AttentionProbe(List<KeyRange> ranges, boolean entropy, int mapCells) {
    /** The native call takes so many, the first token's included. */
    private static final int MOST_RANGES = 63;

    private static final int MOST_CELLS = 4096;

    /**
     * Some neighboring keys, counted from the first key of each sequence.
     *
     * @param first the first, at least 0
     * @param end one past the last, at least {@code first}; may lie beyond the last key of a sequence
     */
    public record KeyRange(long first, long end) {
        /**
         * Checks the range.
         *
         * @throws IllegalArgumentException when it begins before 0, or ends before it begins
         */
        public KeyRange {
            if (first < 0 || end < first) {
                throw new IllegalArgumentException("key range is " + first + " to " + end
                        + ", but must begin at 0 or later and not end before it begins");
            }
        }
    }

    /**
     * Checks and copies.
     *
     * @throws IllegalArgumentException when there are over 63 ranges, or mapCells is not 0 to 4096
     */
    public AttentionProbe {
        ranges = List.copyOf(ranges);
        if (ranges.size() > MOST_RANGES) {
            throw new IllegalArgumentException(
                    "ranges has " + ranges.size() + " elements, but must have at most " + MOST_RANGES);
        }
        if (mapCells < 0 || mapCells > MOST_CELLS) {
            throw new IllegalArgumentException("mapCells is " + mapCells + ", but must be 0 to " + MOST_CELLS);
        }
    }

    /**
     * The share of the first token alone.
     *
     * @return the cheapest probe
     */
    public static AttentionProbe firstToken() {
        return new AttentionProbe(List.of(), false, 0);
    }

    /**
     * This probe with the share of one more range of keys.
     *
     * @param first the first key of the range
     * @param end one past its last
     * @return the larger probe; its ranges are numbered in the order in which they were added
     * @throws IllegalArgumentException when the range begins before 0 or ends before it begins
     */
    public AttentionProbe withRange(long first, long end) {
        List<KeyRange> more = new ArrayList<>(ranges);
        more.add(new KeyRange(first, end));
        return new AttentionProbe(more, entropy, mapCells);
    }

    /**
     * This probe with the entropy of each head.
     *
     * @return the larger probe
     */
    public AttentionProbe withEntropy() {
        return new AttentionProbe(ranges, true, mapCells);
    }

    /**
     * This probe with a map of each head.
     *
     * @param cells rows and columns at most, 1 to 4096
     * @return the larger probe
     * @throws IllegalArgumentException when cells is out of range
     */
    public AttentionProbe withMap(int cells) {
        if (cells < 1) {
            throw new IllegalArgumentException("cells is " + cells + ", but must be 1 to " + MOST_CELLS);
        }
        return new AttentionProbe(ranges, entropy, cells);
    }

    /** First keys and ends, the first token's before all others. */
    long[] bounds() {
        long[] bounds = new long[2 * ranges.size() + 2];
        bounds[1] = 1;
        for (int n = 0; n < ranges.size(); n++) {
            bounds[2 * n + 2] = ranges.get(n).first();
            bounds[2 * n + 3] = ranges.get(n).end();
        }
        return bounds;
    }
}
