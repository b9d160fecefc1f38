package io.github.gatedattention.bench.sidebyside;

/**
 * How long is measured.
 *
 * @param rounds how often everyone gets a turn
 * @param warmMillis calls before the timed ones of a turn
 * @param turnMillis how long a turn's timed calls take together, if they are at least {@code leastCalls}
 * @param leastCalls how many calls a turn has at least
 * @param mostMillis after which a turn ends with whatever it has, at least one call
 * @param rowSeconds after which an implementation gets no more turns on a workload, if it had two
 * @param slowestSeconds a call that takes longer is not measured at all
 */
record Effort(
        int rounds,
        int warmMillis,
        int turnMillis,
        int leastCalls,
        int mostMillis,
        double rowSeconds,
        double slowestSeconds) {
    /** Some 25 s per comparison on two quiet cores. */
    static final Effort QUICK = new Effort(5, 40, 120, 3, 1000, 5, 3);

    /** Three times the rounds, each about three times as long. */
    static final Effort FULL = new Effort(15, 100, 400, 5, 3000, 60, 15);
}
