package io.github.gatedattention.bench.sidebyside;

import io.github.gatedattention.bench.Workload;
import io.github.gatedattention.bench.peers.Implementation;
import java.util.List;
import java.util.Optional;

/**
 * What the report's JVMs say to each other, a line each way: the coordinator asks, a worker answers.
 *
 * <p>Libraries write to standard output as they please, so every answer begins with a mark.
 */
final class Protocol {
    private static final String MARK = "@report ";
    private static final String OPEN = "open";
    private static final String TURN = "turn";
    private static final String CLOSE = "close";
    private static final String OPENED = "opened";
    private static final String TIMED = "timed";
    private static final String CLOSED = "closed";
    private static final String REFUSED = "refused";

    private Protocol() {}

    /** A question. */
    sealed interface Request {
        Workload workload();

        Implementation implementation();
    }

    /** Load it, compute once for the error, and warm up. */
    record Open(Implementation implementation, Workload workload) implements Request {}

    /** Time some calls, as {@link Effort} says. */
    record Turn(
            Implementation implementation,
            Workload workload,
            int warmMillis,
            int turnMillis,
            int leastCalls,
            int mostMillis)
            implements Request {}

    /** Free it. */
    record Close(Implementation implementation, Workload workload) implements Request {}

    /** An answer. */
    sealed interface Answer {}

    /** The error against float64 and how long a call takes about. */
    record Opened(double error, double nanos) implements Answer {}

    /** How many calls were timed, and their median. */
    record Timed(long calls, double nanos) implements Answer {}

    /** It is freed. */
    record Closed() implements Answer {}

    /** Why it cannot be done. */
    record Refused(String reason) implements Answer {}

    static String write(Request request) {
        String subject = " " + request.implementation() + " " + request.workload();
        return switch (request) {
            case Open open -> OPEN + subject;
            case Close close -> CLOSE + subject;
            case Turn turn ->
                TURN + subject + " " + turn.warmMillis() + " " + turn.turnMillis() + " " + turn.leastCalls() + " "
                        + turn.mostMillis();
        };
    }

    static Request readRequest(String line) {
        String[] words = line.strip().split(" ");
        Implementation implementation = Implementation.valueOf(words[1]);
        Workload workload = Workload.valueOf(words[2]);
        return switch (words[0]) {
            case OPEN -> new Open(implementation, workload);
            case CLOSE -> new Close(implementation, workload);
            case TURN -> {
                List<Integer> numbers =
                        List.of(words).stream().skip(3).map(Integer::valueOf).toList();
                yield new Turn(
                        implementation, workload, numbers.get(0), numbers.get(1), numbers.get(2), numbers.get(3));
            }
            default -> throw new IllegalArgumentException("no request: " + line);
        };
    }

    static String write(Answer answer) {
        return MARK
                + switch (answer) {
                    case Opened opened -> OPENED + " " + opened.error() + " " + opened.nanos();
                    case Timed timed -> TIMED + " " + timed.calls() + " " + timed.nanos();
                    case Closed closed -> CLOSED;
                    case Refused refused -> REFUSED + " " + refused.reason();
                };
    }

    /** Empty when the line is none of ours. */
    static Optional<Answer> readAnswer(String line) {
        int mark = line.indexOf(MARK); // a library may have begun the line
        if (mark < 0) {
            return Optional.empty();
        }
        String text = line.substring(mark + MARK.length());
        String[] words = text.split(" ");
        return Optional.of(
                switch (words[0]) {
                    case OPENED -> new Opened(Double.parseDouble(words[1]), Double.parseDouble(words[2]));
                    case TIMED -> new Timed(Long.parseLong(words[1]), Double.parseDouble(words[2]));
                    case CLOSED -> new Closed();
                    case REFUSED -> new Refused(text.substring(REFUSED.length()).strip());
                    default -> throw new IllegalArgumentException("no answer: " + line);
                });
    }
}
