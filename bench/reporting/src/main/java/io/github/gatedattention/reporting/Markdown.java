package io.github.gatedattention.reporting;

import java.util.List;
import java.util.Locale;

/** Tables in Markdown, and figures with as many digits as were measured. */
public final class Markdown {
    /** What stands where there is no figure. */
    public static final String NONE = "–";

    private Markdown() {}

    /**
     * Appends the first two lines of a table.
     *
     * @param text receives them
     * @param cells the names of the columns
     */
    public static void tableHead(StringBuilder text, List<String> cells) {
        tableRow(text, cells);
        tableRow(text, cells.stream().map(cell -> "---").toList());
    }

    /**
     * Appends a line of a table.
     *
     * @param text receives it
     * @param cells the cells; a bar in one would begin another
     */
    public static void tableRow(StringBuilder text, List<String> cells) {
        text.append("| ")
                .append(String.join(
                        " | ",
                        cells.stream().map(cell -> cell.replace("|", "\\|")).toList()))
                .append(" |\n");
    }

    /**
     * Appends a line of text.
     *
     * @param text receives it
     * @param format as of {@link String#format}
     * @param values what it names
     */
    @SuppressWarnings("AnnotateFormatMethod") // the annotation would be one more dependency
    public static void line(StringBuilder text, String format, Object... values) {
        text.append(format(format, values)).append('\n');
    }

    /**
     * {@return three significant digits, four below 0.1}
     *
     * @param milliseconds any positive number
     */
    public static String significant(double milliseconds) {
        int digits =
                milliseconds >= 100 ? 0 : milliseconds >= 10 ? 1 : milliseconds >= 1 ? 2 : milliseconds >= 0.1 ? 3 : 4;
        return format("%." + digits + "f", milliseconds);
    }

    /**
     * {@return the text, the same in every locale}
     *
     * @param format as of {@link String#format}
     * @param values what it names
     */
    @SuppressWarnings("AnnotateFormatMethod")
    public static String format(String format, Object... values) {
        return String.format(Locale.ROOT, format, values);
    }
}
