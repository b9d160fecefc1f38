package io.github.gatedattention.cli;

import java.nio.file.InvalidPathException;
import java.nio.file.Path;

/** Paths from the command line. */
public final class Paths {
    private Paths() {}

    /**
     * The path that is written so.
     *
     * @throws InputException when the text is no path; its message begins with {@code what}
     */
    public static Path parse(String what, String text) {
        if (text.isEmpty()) {
            throw new InputException(what + " is the empty string, a path is expected");
        }
        try {
            return Path.of(text);
        } catch (InvalidPathException e) {
            throw new InputException(what + " " + Text.quote(text) + " is no path: " + Text.line(e.getReason()), e);
        }
    }
}
