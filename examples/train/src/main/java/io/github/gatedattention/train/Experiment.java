package io.github.gatedattention.train;

import java.util.ArrayList;
import java.util.List;
import java.util.function.Consumer;
import java.util.stream.IntStream;

/**
 * The same training for every gate: at two learning rates with several seeds, and then in short at rates that double, until training
 * fails.
 *
 * @param steps of a run
 * @param batch sequences per step
 * @param seeds runs of each gate and rate; the seeds are 1, 2 and so on
 * @param shortSteps of a run at rising rates
 */
record Experiment(int steps, int batch, int seeds, int shortSteps) {
    /** In the order of the tables. */
    static final List<GateKind> GATES = List.of(
            GateKind.NONE, GateKind.HEADWISE, GateKind.ELEMENTWISE, GateKind.NS_SIGMOID, GateKind.INPUT_INDEPENDENT);

    /** What a careful user takes, and three times as much. */
    static final List<Double> RATES = List.of(0.003, 0.01);

    /** Rates that double. */
    static final List<Double> RISING = List.of(0.01, 0.02, 0.04, 0.08, 0.16);

    /** A run that does not get this far below the loss of the frequencies of bytes has failed, in nats. */
    static final double LEARNED = 0.1;

    private static final int POINTS = 10;
    private static final int CONTEXT = 256;
    private static final double WARMUP_SHARE = 0.1;

    /** Takes about a quarter of an hour on two quiet cores. */
    static Experiment full() {
        return new Experiment(200, 8, 2, 40);
    }

    /** Takes about a minute: says that all works, and little else. */
    static Experiment quick() {
        return new Experiment(30, 2, 1, 20);
    }

    /** How many runs there are. */
    int runs() {
        return GATES.size() * (RATES.size() * seeds + RISING.size());
    }

    /**
     * Makes all runs.
     *
     * @param about hears of each before it starts
     * @param done hears of each when it has ended
     */
    ExperimentResults run(Corpus corpus, Consumer<TrainingSettings> about, Consumer<RunResult> done) {
        List<RunResult> table = new ArrayList<>();
        List<RunResult> rising = new ArrayList<>();
        for (GateKind gate : GATES) {
            for (double rate : RATES) {
                IntStream.rangeClosed(1, seeds)
                        .mapToObj(seed -> run(settings(gate, steps, rate, seed), POINTS, corpus, about, done))
                        .forEach(table::add);
            }
        }
        for (GateKind gate : GATES) {
            for (double rate : RISING) {
                rising.add(run(settings(gate, shortSteps, rate, 1), 1, corpus, about, done));
            }
        }
        return new ExperimentResults(this, corpus.name(), corpus.entropyOfBytes(), table, rising);
    }

    TrainingSettings settings(GateKind gate, int runSteps, double rate, long seed) {
        ModelShape shape = ModelShape.ofBytes(gate, 4, 128, 4, 2, 32, CONTEXT, false);
        int warmup = (int) Math.ceil(WARMUP_SHARE * runSteps);
        return new TrainingSettings(shape, batch, runSteps, rate, warmup, 0.1, 1, seed);
    }

    /** One run, looked at {@code points} times; it ends early when a number is not finite. */
    static RunResult run(
            TrainingSettings settings,
            int points,
            Corpus corpus,
            Consumer<TrainingSettings> about,
            Consumer<RunResult> done) {
        about.accept(settings);
        try (Trainer trainer = new Trainer(settings, corpus)) {
            List<RunResult.Point> curve = new ArrayList<>();
            long nanos = 0;
            boolean finite = true;
            for (int point = 1; finite && point <= points; point++) {
                int last = settings.steps() * point / points;
                double losses = 0;
                int count = 0;
                while (finite && trainer.step() < last) {
                    long start = System.nanoTime();
                    Trainer.Progress step = trainer.next();
                    nanos += System.nanoTime() - start;
                    losses += step.loss();
                    count++;
                    finite = step.isFinite();
                }
                double validation = trainer.validationLoss();
                curve.add(new RunResult.Point(trainer.step(), losses / count, validation, trainer.measure()));
            }
            double tokens = (double) trainer.step() * settings.tokensPerStep();
            RunResult result =
                    new RunResult(settings, trainer.model().size(), finite, curve, tokens / Math.max(1, nanos) * 1e9);
            done.accept(result);
            return result;
        }
    }
}
