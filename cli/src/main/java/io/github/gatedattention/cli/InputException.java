package io.github.gatedattention.cli;

import java.io.Serial;

/** Wrong input from the user: the message, one sentence, goes to standard error and the command ends with exit code 2. */
public final class InputException extends RuntimeException {
    @Serial
    private static final long serialVersionUID = 1L;

    /** An input that is wrong for the reason {@code message} gives. */
    public InputException(String message) {
        super(message);
    }

    /** An input that is wrong because of {@code cause}, which {@code message} explains. */
    public InputException(String message, Throwable cause) {
        super(message, cause);
    }
}
