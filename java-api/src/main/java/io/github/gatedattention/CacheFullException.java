package io.github.gatedattention;

/**
 * A {@link KvCache} has no room for what was asked: too few free pages or entries, or a sequence at the end of its entry.
 * The cache is as it was before. A serving program frees a sequence, or waits until one ends, and tries again.
 */
public class CacheFullException extends RuntimeException {
    private static final long serialVersionUID = 1L;

    /**
     * Creates an exception.
     *
     * @param message one sentence with what was needed and what there is
     */
    public CacheFullException(String message) {
        super(message);
    }
}
