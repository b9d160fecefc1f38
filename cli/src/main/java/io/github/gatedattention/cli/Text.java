package io.github.gatedattention.cli;

/** Text of unknown origin on its way to the terminal. */
public final class Text {
    private static final int LONGEST = 80;

    private Text() {}

    /** The text on one line, control characters replaced. */
    public static String line(String text) {
        return text.replaceAll("\\p{Cntrl}", "?");
    }

    /** A value in double quotes, on one line, the tail of a very long one cut off. */
    public static String quote(String text) {
        String line = line(text);
        return '"' + (line.length() <= LONGEST ? line : line.substring(0, LONGEST) + "...") + '"';
    }
}
