package io.github.gatedattention.bindings;

/** Carries a refusal up to {@link LibraryLoader#load}, which turns it into a state; no user ever sees it. */
final class RefusedException extends Exception {

    private static final long serialVersionUID = 1L;

    private final Refusal refusal;

    RefusedException(Refusal refusal, String message) {
        // No stack trace: the refusal and its sentence are the whole story.
        super(message, null, false, false);
        this.refusal = refusal;
    }

    Refusal refusal() {
        return refusal;
    }

    /** The sentence; unlike getMessage(), never null. */
    String sentence() {
        return String.valueOf(getMessage());
    }
}
