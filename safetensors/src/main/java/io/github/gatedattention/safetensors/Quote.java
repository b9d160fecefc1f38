package io.github.gatedattention.safetensors;

/** Puts text from a file into a message: one line, no control characters, no more than is readable. */
final class Quote {
    private static final int LONGEST = 80;

    private Quote() {}

    /** A name in double quotes, with control characters escaped and the tail of a very long one cut off. */
    static String name(String text) {
        return '"' + clean(text) + '"';
    }

    /** Text of any length on one line, without control characters. */
    static String line(String text) {
        return escape(text, Integer.MAX_VALUE);
    }

    /** Text without quotes. */
    static String clean(String text) {
        return text.length() <= LONGEST
                ? escape(text, LONGEST)
                : escape(text, LONGEST) + "... (" + text.length() + " characters)";
    }

    private static String escape(String text, int limit) {
        var out = new StringBuilder();
        for (int i = 0; i < Math.min(text.length(), limit); i++) {
            char c = text.charAt(i);
            if (Character.isISOControl(c)
                    || Character.isSurrogate(c) && !isPaired(text, i)
                    || c == '\u2028'
                    || c == '\u2029') {
                out.append(String.format("\\u%04x", (int) c));
            } else {
                out.append(c);
            }
        }
        return out.toString();
    }

    private static boolean isPaired(String text, int i) {
        return Character.isHighSurrogate(text.charAt(i))
                ? i + 1 < text.length() && Character.isLowSurrogate(text.charAt(i + 1))
                : i > 0 && Character.isHighSurrogate(text.charAt(i - 1));
    }
}
