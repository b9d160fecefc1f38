package io.github.gatedattention;

/**
 * Which keys a query may see.
 *
 * <p>The {@code Sq} queries of a sequence are the last positions of its {@code L} keys, where {@code Sq}
 * and {@code L} are the sequence's own numbers of queries and keys when it has some: {@link Sequences}. Query {@code i} therefore stands on the
 * diagonal {@code d = i + L - Sq}, and sees key {@code j}, {@code 0 <= j < L}, when
 *
 * <ul>
 *   <li>causal: {@code j <= d};
 *   <li>window: {@code d - left <= j <= d + right}.
 * </ul>
 *
 * <p>What a query does not see never affects it, even when it is NaN. A query that sees no key has {@code Y = 0} and a
 * log-sum-exp of negative infinity, or of its head's sink where there is one.
 */
public final class Mask {
    /** A side of the window that has no limit. */
    static final long UNLIMITED = -1;

    private static final Mask NONE = new Mask(false, UNLIMITED, UNLIMITED);
    private static final Mask CAUSAL = new Mask(true, UNLIMITED, UNLIMITED);

    private final boolean causal;
    private final long windowLeft;
    private final long windowRight;

    private Mask(boolean causal, long windowLeft, long windowRight) {
        this.causal = causal;
        this.windowLeft = windowLeft;
        this.windowRight = windowRight;
    }

    /**
     * Every query sees every key of its sequence.
     *
     * @return no mask
     */
    public static Mask none() {
        return NONE;
    }

    /**
     * A query sees the keys up to its own position, aligned to the bottom right.
     *
     * @return the causal mask
     */
    public static Mask causal() {
        return CAUSAL;
    }

    /**
     * This mask with a sliding window as well.
     *
     * @param left how many keys before the diagonal a query sees, at least 0; -1: all of them
     * @param right how many keys after the diagonal a query sees, at least 0; -1: all of them. A causal mask shows
     *     none, whatever this says
     * @return the narrower mask
     * @throws IllegalArgumentException when a side is below -1
     */
    public Mask withWindow(long left, long right) {
        return new Mask(causal, checkSide("left", left), checkSide("right", right));
    }

    private static long checkSide(String name, long keys) {
        if (keys < UNLIMITED) {
            throw new IllegalArgumentException(
                    "window " + name + " is " + keys + ", but must be at least 0 keys, or -1 for no limit");
        }
        return keys;
    }

    /**
     * Returns whether a query sees no key after its own position.
     *
     * @return whether the mask is causal
     */
    public boolean isCausal() {
        return causal;
    }

    /**
     * Returns how many keys before the diagonal a query sees.
     *
     * @return a number of keys, or -1 for no limit
     */
    public long windowLeft() {
        return windowLeft;
    }

    /**
     * Returns how many keys after the diagonal a query sees, the causal mask aside.
     *
     * @return a number of keys, or -1 for no limit
     */
    public long windowRight() {
        return windowRight;
    }

    /** The first key that query {@code i} of {@code seqQ} sees among {@code length} keys. */
    long firstKey(long i, long seqQ, long length) {
        long diagonal = i + length - seqQ;
        // No query stands more than seqQ + length from any key, so a wider window is no window; nothing can overflow.
        return windowLeft == UNLIMITED || windowLeft > seqQ + length ? 0 : Math.max(0, diagonal - windowLeft);
    }

    /** One past the last key that the query sees; at most {@link #firstKey} when it sees none. */
    long endKey(long i, long seqQ, long length) {
        long diagonal = i + length - seqQ;
        long right = causal ? 0 : windowRight;
        return right == UNLIMITED || right > seqQ + length ? length : Math.min(length, diagonal + right + 1);
    }

    @Override
    public String toString() {
        String name = causal ? "causal" : "none";
        boolean window = windowLeft != UNLIMITED || windowRight != UNLIMITED;
        return window ? name + " window(" + windowLeft + ", " + windowRight + ")" : name;
    }

    @Override
    public boolean equals(Object other) {
        return other instanceof Mask m
                && m.causal == causal
                && m.windowLeft == windowLeft
                && m.windowRight == windowRight;
    }

    @Override
    public int hashCode() {
        return Long.hashCode(windowLeft * 31 + windowRight) * 2 + (causal ? 1 : 0);
    }
}
