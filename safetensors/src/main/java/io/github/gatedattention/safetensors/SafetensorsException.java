package io.github.gatedattention.safetensors;

import java.io.IOException;
import java.io.Serial;
import org.jspecify.annotations.Nullable;

/** A safetensors file that could not be read or written. The message is one sentence: file, what is wrong, values. */
public final class SafetensorsException extends IOException {
    @Serial
    private static final long serialVersionUID = 1L;

    private final String file;
    private final String problem;

    SafetensorsException(String file, String problem, @Nullable Throwable cause) {
        super(Quote.line(file) + ": " + problem, cause);
        this.file = file;
        this.problem = problem;
    }

    SafetensorsException(String file, String problem) {
        this(file, problem, null);
    }

    /** The file concerned, as the caller named it. */
    public String file() {
        return file;
    }

    /** The message without the file. */
    public String problem() {
        return problem;
    }
}
