package io.github.gatedattention.bench.sidebyside;

import java.io.IOException;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.TimeUnit;

/**
 * Measures one comparison: rounds in which the limits are measured and then everyone has a turn.
 *
 * <p>A neighbor on the machine, or its own warmth, slows everything down for seconds at a time: in turns, it slows
 * everyone down alike, the limits included.
 */
final class Turns {
    private static final int LEAST_ROUNDS = 2;

    private final Workers workers;
    private final LimitsProcess limits;
    private final Effort effort;
    private final String limitOfBf16;

    /** What is known of an entry while it is measured. */
    private static final class Candidate {
        final Entry entry;
        final String limit;
        String absence = "";
        double error = Double.NaN;
        double seconds; // that its turns took
        long calls;
        final List<Double> rounds = new ArrayList<>();

        Candidate(Entry entry, String limit) {
            this.entry = entry;
            this.limit = limit;
        }
    }

    Turns(Workers workers, LimitsProcess limits, Effort effort) throws IOException {
        this.workers = workers;
        this.limits = limits;
        this.effort = effort;
        limitOfBf16 = limitOfBf16(limits);
    }

    private static String limitOfBf16(LimitsProcess limits) throws IOException {
        for (String instruction : Peak.BF16_INSTRUCTIONS) {
            if (limits.measure(instruction + " 1") > 0) {
                return instruction;
            }
        }
        return "fma_f32";
    }

    /** One row per entry, in the order of the entries. */
    List<Measured> measure(Comparison comparison) throws IOException, InterruptedException {
        List<Candidate> all = new ArrayList<>();
        for (Entry entry : comparison.entries()) {
            var candidate = new Candidate(entry, Peak.request(entry, limitOfBf16));
            all.add(candidate);
            open(candidate);
        }
        Map<String, List<Double>> peaks = new LinkedHashMap<>();
        for (int round = 0; round < effort.rounds(); round++) {
            List<Candidate> due = new ArrayList<>(all);
            due.removeIf(candidate -> !isDue(candidate));
            for (String limit : due.stream().map(c -> c.limit).distinct().toList()) {
                peaks.computeIfAbsent(limit, l -> new ArrayList<>()).add(limits.measure(limit));
            }
            if (!due.isEmpty()) {
                Collections.rotate(due, round); // nobody always follows the same neighbor
            }
            for (Candidate candidate : due) {
                turn(candidate);
            }
        }
        for (Candidate candidate : all) {
            ask(candidate, new Protocol.Close(candidate.entry.implementation(), candidate.entry.workload()));
        }
        return all.stream().map(c -> row(comparison.section(), c, peaks)).toList();
    }

    private boolean isDue(Candidate candidate) {
        boolean spent = candidate.seconds > effort.rowSeconds() && candidate.rounds.size() >= LEAST_ROUNDS;
        return candidate.absence.isEmpty() && !spent;
    }

    private void open(Candidate candidate) throws IOException, InterruptedException {
        Entry entry = candidate.entry;
        Protocol.Answer answer = ask(candidate, new Protocol.Open(entry.implementation(), entry.workload()));
        if (answer instanceof Protocol.Opened opened) {
            candidate.error = opened.error();
            double seconds = opened.nanos() / TimeUnit.SECONDS.toNanos(1);
            if (seconds > effort.slowestSeconds()) {
                ask(candidate, new Protocol.Close(entry.implementation(), entry.workload()));
                candidate.absence = String.format(
                        Locale.ROOT,
                        "left out: one call took %.1f s, and this run measures calls of up to %.0f s",
                        seconds,
                        effort.slowestSeconds());
            }
        }
    }

    private void turn(Candidate candidate) throws IOException, InterruptedException {
        long begin = System.nanoTime();
        Protocol.Answer answer = ask(
                candidate,
                new Protocol.Turn(
                        candidate.entry.implementation(),
                        candidate.entry.workload(),
                        effort.warmMillis(),
                        effort.turnMillis(),
                        effort.leastCalls(),
                        effort.mostMillis()));
        candidate.seconds += (System.nanoTime() - begin) / (double) TimeUnit.SECONDS.toNanos(1);
        if (answer instanceof Protocol.Timed timed) {
            candidate.calls += timed.calls();
            candidate.rounds.add(timed.nanos());
        }
    }

    /** A refusal becomes the candidate's absence. */
    private Protocol.Answer ask(Candidate candidate, Protocol.Request request)
            throws IOException, InterruptedException {
        if (!candidate.absence.isEmpty()) {
            return new Protocol.Refused(candidate.absence);
        }
        Optional<WorkerProcess> worker = workers.serving(candidate.entry);
        Protocol.Answer answer = worker.isPresent()
                ? worker.get().ask(request)
                : new Protocol.Refused(
                        workers.absence(candidate.entry.implementation().host()));
        boolean measured = request instanceof Protocol.Close; // what fails then does not take the figures away
        if (answer instanceof Protocol.Refused refused && !measured) {
            candidate.absence = refused.reason().isEmpty() ? "unknown" : refused.reason();
        }
        return answer;
    }

    private static Measured row(Section section, Candidate candidate, Map<String, List<Double>> peaks) {
        if (!candidate.absence.isEmpty()) {
            return Measured.absent(section, candidate.entry, candidate.absence);
        }
        return new Measured(
                section,
                candidate.entry,
                "",
                candidate.error,
                candidate.calls,
                List.copyOf(candidate.rounds),
                new Peak(candidate.limit, List.copyOf(peaks.getOrDefault(candidate.limit, List.of()))));
    }
}
