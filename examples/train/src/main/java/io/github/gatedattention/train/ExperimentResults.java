package io.github.gatedattention.train;

import java.util.List;
import java.util.OptionalDouble;
import java.util.function.ToDoubleFunction;

/**
 * All runs of an {@link Experiment}.
 *
 * @param experiment what was asked for
 * @param text the name of the text
 * @param entropyOfBytes the loss of the frequencies of its bytes, in nats
 * @param table every gate, rate and seed
 * @param rising every gate at rates that double
 */
record ExperimentResults(
        Experiment experiment, String text, double entropyOfBytes, List<RunResult> table, List<RunResult> rising) {
    ExperimentResults {
        table = List.copyOf(table);
        rising = List.copyOf(rising);
    }

    /** The runs of a gate at a rate, by seed. */
    List<RunResult> runs(GateKind gate, double rate) {
        return table.stream()
                .filter(run -> run.gate() == gate && run.settings().learningRate() == rate)
                .toList();
    }

    /** The mean over the seeds of something at a look. */
    double mean(GateKind gate, double rate, int point, ToDoubleFunction<RunResult.Point> value) {
        return runs(gate, rate).stream()
                .mapToDouble(run -> value.applyAsDouble(
                        run.curve().get(Math.min(point, run.curve().size() - 1))))
                .average()
                .orElse(Double.NaN);
    }

    /** The runs of a gate at rising rates. */
    List<RunResult> rising(GateKind gate) {
        return rising.stream().filter(run -> run.gate() == gate).toList();
    }

    /** The lowest of the rising rates at which a gate failed. */
    OptionalDouble firstFailure(GateKind gate) {
        return rising(gate).stream()
                .filter(run -> run.failed(entropyOfBytes))
                .mapToDouble(run -> run.settings().learningRate())
                .min();
    }

    /** The attention on the first token when all keys that are seen get the same: the mean of 1, 1/2, 1/3 and so on. */
    double uniformFirstToken() {
        int context = table.getFirst().settings().shape().context();
        double sum = 0;
        for (int seen = 1; seen <= context; seen++) {
            sum += 1.0 / seen;
        }
        return sum / context;
    }
}
