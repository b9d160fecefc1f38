package io.github.gatedattention;

/**
 * A call that native code refused or could not finish. Nothing was written to any output.
 *
 * <p>Wrong arguments are found in Java and thrown as {@link IllegalArgumentException}; calls on a closed
 * {@link GatedAttention} throw {@link IllegalStateException}.
 */
public class GatedAttentionException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /** What kind of failure it is. */
    private final Status status;

    /**
     * Creates an exception.
     *
     * @param status what kind of failure it is
     * @param message one sentence that names the argument and the values
     */
    public GatedAttentionException(Status status, String message) {
        super(message);
        this.status = status;
    }

    /**
     * Returns the kind of failure.
     *
     * @return the status that native code gave
     */
    public Status status() {
        return status;
    }
}
