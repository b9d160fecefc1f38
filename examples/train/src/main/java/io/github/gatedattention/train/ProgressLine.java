package io.github.gatedattention.train;

import java.io.PrintWriter;
import java.util.Locale;

/**
 * Says how far a run is: one line that is drawn anew on a terminal, some twenty lines elsewhere. The loss is a mean over the last steps;
 * tokens per second count the steps' own time alone.
 */
final class ProgressLine {
    private static final int BAR = 24;
    private static final int LINES = 20;
    private static final double MEMORY = 0.95; // of the mean, per step
    private static final double NANO = 1e-9;

    private final PrintWriter out;
    private final boolean terminal;
    private final int steps;
    private final int tokensPerStep;
    private double loss = Double.NaN;
    private long nanos;
    private int seen;

    ProgressLine(PrintWriter out, TrainingSettings settings) {
        this.out = out;
        this.terminal = System.console() != null && System.console().isTerminal();
        this.steps = settings.steps();
        this.tokensPerStep = settings.tokensPerStep();
    }

    /** Takes note of a step that took so long. */
    void after(Trainer.Progress step, long stepNanos) {
        loss = Double.isNaN(loss) ? step.loss() : MEMORY * loss + (1 - MEMORY) * step.loss();
        nanos += stepNanos;
        seen++;
        if (terminal) {
            out.print("\r" + line(step.step()));
            out.flush();
        } else if (step.step() % Math.max(1, steps / LINES) == 0 || step.step() == steps) {
            out.println(line(step.step()));
            out.flush();
        }
    }

    /** Ends the line of a terminal. */
    void end() {
        if (terminal && seen > 0) {
            out.println();
        }
    }

    double tokensPerSecond() {
        return seen * (double) tokensPerStep / Math.max(1, nanos) / NANO;
    }

    private String line(int step) {
        int full = (int) ((long) BAR * step / steps);
        long left = Math.round((steps - step) * (nanos * NANO / seen));
        return String.format(
                Locale.ROOT,
                "[%s%s] %d/%d  loss %.4f  %,.0f tokens/s  %d:%02d left ",
                "#".repeat(full),
                ".".repeat(BAR - full),
                step,
                steps,
                loss,
                tokensPerSecond(),
                left / 60,
                left % 60);
    }
}
