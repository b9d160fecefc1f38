package io.github.gatedattention.bench.sidebyside;

/** The part of README.md that a report writes: between two comments that HTML and Markdown do not show. */
final class ReadmeBlock {
    static final String BEGIN = "<!-- measured: ./ga bench --report --readme writes all down to the next comment -->";
    static final String END = "<!-- /measured -->";

    private ReadmeBlock() {}

    /** The text with what is between the comments replaced; refuses one that has not each of them once, in order. */
    static String replace(String readme, String block) {
        int begin = only(readme, BEGIN);
        int end = only(readme, END);
        if (end < begin) {
            throw new IllegalArgumentException("README.md has '" + END + "' before '" + BEGIN + "'");
        }
        return readme.substring(0, begin + BEGIN.length()) + "\n" + block.strip() + "\n" + readme.substring(end);
    }

    private static int only(String readme, String comment) {
        int first = readme.indexOf(comment);
        if (first < 0 || readme.indexOf(comment, first + 1) >= 0) {
            throw new IllegalArgumentException("README.md must have the line '" + comment + "' once");
        }
        return first;
    }
}
