package io.github.gatedattention.bench;

import java.nio.file.Path;
import java.util.regex.Pattern;
import java.util.regex.PatternSyntaxException;
import org.jspecify.annotations.Nullable;

/**
 * The command line.
 *
 * @param pattern which benchmarks, a regular expression found in their names
 * @param fullLength whether to measure for publication
 * @param report whether to write a report, in place of running JMH's benchmarks
 * @param redraw whether to write a report's tables and pictures from what an earlier one measured
 * @param readme whether README.md gets the report's table
 * @param threads how many threads every implementation may use
 * @param results where to write, or null for the usual place
 * @param help whether to print the usage only
 */
record Arguments(
        String pattern,
        boolean fullLength,
        boolean report,
        boolean redraw,
        boolean readme,
        int threads,
        @Nullable Path results,
        boolean help) {
    static final String USAGE = """
            usage: ./ga bench [PATTERN] [--full-length] [--threads N] [--results DIR]
                   ./ga bench --report [PATTERN] [--redraw] [--readme] [--full-length] [--threads N] [--results DIR]

              PATTERN        benchmarks whose name contains it, a regular expression: Forward, Training, Overhead,
                             Latency, Limit;
                             with --report comparisons: PREFILL, DECODE, GATE, THREADS, CALL, S1024, ...
              --report       the limits, this library and every peer in turns in one run: JSON, tables, pictures
              --redraw       no measuring: tables and pictures from the JSON of the last report
              --readme       README.md shows this report's table and picture
              --full-length  figures to publish: with JMH 3 forks and longer iterations, about an hour in place of some
                             minutes; with --report more and longer rounds
              --threads N    for every implementation; 2 unless the machine has one processor
              --results DIR  where to write; bench/results/<machine> unless given
            """;

    private static final String ALL = ".*";

    static Arguments parse(String[] args) {
        String pattern = ALL;
        boolean fullLength = false;
        boolean report = false;
        boolean redraw = false;
        boolean readme = false;
        int threads = Math.min(2, Runtime.getRuntime().availableProcessors());
        Path results = null;
        boolean help = false;
        for (int i = 0; i < args.length; i++) {
            switch (args[i]) {
                case "--full-length" -> fullLength = true;
                case "--report" -> report = true;
                case "--redraw" -> redraw = true;
                case "--readme" -> readme = true;
                case "--threads" -> threads = number("--threads", value(args, ++i));
                case "--results" -> results = Path.of(value(args, ++i));
                case "--help", "-h" -> help = true;
                default -> {
                    if (args[i].startsWith("-") || !pattern.equals(ALL)) {
                        throw new IllegalArgumentException(
                                "'" + args[i] + "' is not understood; see ./ga bench --help");
                    }
                    pattern = args[i];
                }
            }
        }
        checkPattern(pattern);
        if (!report && (redraw || readme)) {
            throw new IllegalArgumentException((redraw ? "--redraw" : "--readme") + " needs --report");
        }
        if (readme && !pattern.equals(ALL)) {
            throw new IllegalArgumentException("README.md shows whole reports: --readme takes no pattern");
        }
        return new Arguments(pattern, fullLength, report, redraw, readme, threads, results, help);
    }

    private static void checkPattern(String pattern) {
        try {
            Pattern.compile(pattern);
        } catch (PatternSyntaxException e) {
            throw new IllegalArgumentException(
                    "the pattern '" + pattern + "' is no regular expression: " + e.getDescription());
        }
    }

    private static String value(String[] args, int i) {
        if (i == args.length) {
            throw new IllegalArgumentException(args[i - 1] + " needs a value; see ./ga bench --help");
        }
        return args[i];
    }

    private static int number(String name, String text) {
        int number;
        try {
            number = Integer.parseInt(text);
        } catch (NumberFormatException e) {
            number = 0;
        }
        if (number < 1) {
            throw new IllegalArgumentException(name + " is " + text + "; it must be a number of at least 1");
        }
        return number;
    }

    /** Whether the pattern selects the attention benchmark of the given class, as JMH searches it. */
    boolean matches(Class<?> benchmark) {
        return Pattern.compile(pattern)
                .matcher(benchmark.getName() + ".forward")
                .find();
    }

    Path resultsOr(Path usual) {
        return results == null ? usual : results;
    }

    /** A partial run does not overwrite the results of a whole one. */
    String fileName(String stem, String suffix) {
        return pattern.equals(ALL) ? stem + suffix : stem + "-" + pattern.replaceAll("[^A-Za-z0-9_]+", "-") + suffix;
    }
}
