package io.github.gatedattention.bench.sidebyside;

import io.github.gatedattention.baselines.Float64Reference;
import io.github.gatedattention.bench.Cores;
import io.github.gatedattention.bench.Expected;
import io.github.gatedattention.bench.Inputs;
import io.github.gatedattention.bench.PeerProbe;
import io.github.gatedattention.bench.Run;
import io.github.gatedattention.bench.TrainingExpected;
import io.github.gatedattention.bench.Workload;
import io.github.gatedattention.bench.peers.Implementation;
import io.github.gatedattention.bench.peers.Peer;
import io.github.gatedattention.bench.peers.Trainer;
import java.io.BufferedReader;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A JVM that computes when it is asked to, and waits without using a processor when it is not.
 *
 * <p>{@link Protocol} on standard input and output; whatever else is printed goes to standard error.
 */
final class Worker {
    /** The second core of a machine that was idle is slow at first; between two turns it was not idle for long. */
    private static final Duration WAKE = Duration.ofMillis(40);

    private final Map<Entry, Candidate> open = new HashMap<>();
    private final int threads = Run.threads();

    private record Candidate(Timed timed, double nanos) {}

    /** What is timed, after its result was compared with float64. */
    private record Timed(Runnable call, Runnable close, double error) {}

    private Worker() {}

    /** Answers until standard input ends. */
    public static void main(String[] args) throws IOException {
        var answers = new PrintStream(new FileOutputStream(FileDescriptor.out), true, StandardCharsets.UTF_8);
        System.setOut(System.err);
        var requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        var worker = new Worker();
        for (@Nullable String line; (line = requests.readLine()) != null; ) {
            answers.println(Protocol.write(worker.answer(Protocol.readRequest(line))));
        }
        Runtime.getRuntime().halt(0); // peers leave threads behind, and some crash in their own exit handlers
    }

    private Protocol.Answer answer(Protocol.Request request) {
        Entry entry = new Entry(request.workload(), request.implementation(), threads);
        try {
            return switch (request) {
                case Protocol.Open open -> open(entry);
                case Protocol.Turn turn -> turn(entry, turn);
                case Protocol.Close close -> close(entry);
            };
        } catch (Throwable t) { // UnsatisfiedLinkError and OutOfMemoryError are answers, too
            t.printStackTrace();
            return new Protocol.Refused(PeerProbe.reason(t));
        }
    }

    private Protocol.Answer open(Entry entry) throws Exception {
        Workload workload = entry.workload();
        Implementation implementation = entry.implementation();
        Timed timed = workload.isStep() ? step(workload, implementation) : forward(workload, implementation);
        Cores.warm(threads, WAKE);
        Candidate candidate = new Candidate(timed, TimedCalls.warmUp(timed.call()));
        open.put(entry, candidate);
        System.gc(); // the operands' arrays: not while someone else is measured
        return new Protocol.Opened(timed.error(), candidate.nanos());
    }

    private Timed forward(Workload workload, Implementation implementation) throws Exception {
        Peer peer = create(workload, implementation);
        peer.forward();
        return new Timed(peer::forward, peer::close, error(workload, implementation, peer));
    }

    private Timed step(Workload workload, Implementation implementation) throws IOException {
        Inputs inputs = Inputs.of(workload, implementation.precision());
        TrainingExpected expected = TrainingExpected.of(inputs);
        Trainer trainer = Trainer.Kind.of(implementation).create(inputs, expected.dOut(), threads);
        trainer.step();
        return new Timed(trainer::step, trainer::close, expected.worstError(trainer.gradients()));
    }

    private static double error(Workload workload, Implementation implementation, Peer peer) throws IOException {
        double[] expected = Expected.of(Inputs.of(workload, implementation.precision()));
        float[] actual = peer.output();
        workload.clearPadding(actual, expected);
        return Float64Reference.relativeError(expected, actual);
    }

    /** Apart, so that the arrays are garbage when it returns. */
    private Peer create(Workload workload, Implementation implementation) throws Exception {
        return implementation.create(Inputs.of(workload, implementation.precision()), threads);
    }

    private Protocol.Answer turn(Entry entry, Protocol.Turn turn) throws InterruptedException {
        Candidate candidate = open.get(entry);
        if (candidate == null) {
            return new Protocol.Refused(entry + " is not open");
        }
        Cores.warm(threads, WAKE);
        return TimedCalls.measure(candidate.timed().call(), turn, candidate.nanos());
    }

    private Protocol.Answer close(Entry entry) {
        Candidate candidate = open.remove(entry);
        if (candidate != null) {
            candidate.timed().close().run();
            System.gc();
        }
        return new Protocol.Closed();
    }
}
