package io.github.gatedattention.train;

import java.util.List;

/**
 * What a run was and did.
 *
 * @param settings what it was
 * @param weights how many there are
 * @param finite whether every loss and gradient was
 * @param curve how it went; not empty
 * @param tokensPerSecond of its steps alone
 */
record RunResult(TrainingSettings settings, long weights, boolean finite, List<Point> curve, double tokensPerSecond) {
    /**
     * A look at a run.
     *
     * @param step after which
     * @param loss the mean over the steps since the last look
     * @param validation on text that is not learned from
     * @param measures of the same text
     */
    record Point(int step, double loss, double validation, ModelMeasures measures) {}

    RunResult {
        curve = List.copyOf(curve);
    }

    GateKind gate() {
        return settings.shape().gate();
    }

    Point last() {
        return curve.getLast();
    }

    /** Whether it learned no more than how frequent each byte is. */
    boolean failed(double entropyOfBytes) {
        return !finite || !(last().validation() < entropyOfBytes - Experiment.LEARNED);
    }
}
