package io.github.gatedattention.train;

import io.github.gatedattention.cli.InputException;
import io.github.gatedattention.cli.Paths;
import io.github.gatedattention.cli.Version;
import java.io.PrintWriter;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Model.OptionSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** One run, with a line that says how far it is, and checkpoints. */
@Command(
        name = "train",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        sortOptions = false,
        description = {
            "Trains a small language model of bytes, on the text that comes with the example or on a file, and",
            "prints its loss and what the paper measures. The same settings give the same bits.",
            ""
        },
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {"0:done", "1:the loss or its gradient was not finite", "2:wrong usage or input"})
final class TrainCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Option(
            names = "--gate",
            paramLabel = "KIND",
            defaultValue = "elementwise",
            description = "elementwise, headwise, none, ns-sigmoid or input-independent. Default: ${DEFAULT-VALUE}.")
    private String gate;

    @Option(names = "--steps", paramLabel = "N", defaultValue = "600", description = "Default: ${DEFAULT-VALUE}.")
    private int steps;

    @Option(
            names = "--batch",
            paramLabel = "N",
            defaultValue = "8",
            description = "Sequences per step. Default: ${DEFAULT-VALUE}.")
    private int batch;

    @Option(
            names = "--context",
            paramLabel = "N",
            defaultValue = "256",
            description = "Bytes per sequence. Default: ${DEFAULT-VALUE}.")
    private int context;

    @Option(names = "--layers", paramLabel = "N", defaultValue = "4", description = "Default: ${DEFAULT-VALUE}.")
    private int layers;

    @Option(
            names = "--width",
            paramLabel = "N",
            defaultValue = "128",
            description = "Of the hidden states, a multiple of 8. Default: ${DEFAULT-VALUE}.")
    private int width;

    @Option(
            names = "--heads",
            paramLabel = "N",
            defaultValue = "4",
            description = "Query heads. Default: ${DEFAULT-VALUE}.")
    private int heads;

    @Option(
            names = "--kv-heads",
            paramLabel = "N",
            defaultValue = "2",
            description = "Key/value heads, a divisor of the query heads. Default: ${DEFAULT-VALUE}.")
    private int kvHeads;

    @Option(
            names = "--head-dim",
            paramLabel = "N",
            defaultValue = "32",
            description = "A multiple of 8. Default: ${DEFAULT-VALUE}.")
    private int headDim;

    @Option(names = "--tied", description = "Use the embedding's weight for the head too.")
    private boolean tied;

    @Option(
            names = "--learning-rate",
            paramLabel = "X",
            defaultValue = "0.003",
            description = "The highest. Default: ${DEFAULT-VALUE}.")
    private double learningRate;

    @Option(
            names = "--warmup",
            paramLabel = "N",
            defaultValue = "40",
            description = "Steps until it is reached; it then falls along a cosine. Default: ${DEFAULT-VALUE}.")
    private int warmup;

    @Option(
            names = "--weight-decay",
            paramLabel = "X",
            defaultValue = "0.1",
            description = "Of AdamW, on matrices. Default: ${DEFAULT-VALUE}.")
    private double weightDecay;

    @Option(
            names = "--clip",
            paramLabel = "X",
            defaultValue = "1",
            description = "The largest norm of the gradient. Default: ${DEFAULT-VALUE}.")
    private double clip;

    @Option(
            names = "--seed",
            paramLabel = "N",
            defaultValue = "1",
            description = "Of weights and batches. Default: ${DEFAULT-VALUE}.")
    private long seed;

    @Option(
            names = "--text",
            paramLabel = "FILE",
            description = "What to learn from. Default: 2 MiB of generated stories.")
    private @Nullable String text;

    @Option(
            names = "--checkpoint",
            paramLabel = "FILE",
            description = "Write weights, moments and step to this safetensors file at the end.")
    private @Nullable String checkpoint;

    @Option(names = "--checkpoint-every", paramLabel = "N", description = "Write it every N steps as well.")
    private @Nullable Integer every;

    @Option(names = "--stop-at", paramLabel = "N", description = "End after step N of the schedule, to be continued.")
    private @Nullable Integer stopAt;

    @Option(
            names = "--resume",
            paramLabel = "FILE",
            description = "Continue this checkpoint; all settings come from it, and the bits are those of a run that"
                    + " never stopped.")
    private @Nullable String resume;

    @Override
    public Integer call() {
        Corpus corpus = text == null ? Corpus.generated() : Corpus.of(Paths.parse("--text", text));
        @Nullable Path target = checkpoint == null ? null : Paths.parse("--checkpoint", checkpoint);
        if (every != null && (every < 1 || target == null)) {
            throw new InputException(
                    target == null
                            ? "--checkpoint-every is " + every + ", but there is no --checkpoint to write to"
                            : "--checkpoint-every is " + every + ", but must be at least 1");
        }
        try (Trainer trainer = trainer(corpus)) {
            int last = stopAt == null ? trainer.settings().steps() : stopAt;
            if (last <= trainer.step() || last > trainer.settings().steps()) {
                throw new InputException("the run stands at step " + trainer.step() + " of "
                        + trainer.settings().steps() + ", so it cannot end at step " + last);
            }
            return run(trainer, last, target);
        }
    }

    private Trainer trainer(Corpus corpus) {
        if (resume != null) {
            refuseSettings();
            return Checkpoint.read(Paths.parse("--resume", resume), corpus);
        }
        ModelShape shape = ModelShape.ofBytes(
                GateKind.parse("--gate", gate), layers, width, heads, kvHeads, headDim, context, tied);
        return new Trainer(
                new TrainingSettings(shape, batch, steps, learningRate, warmup, weightDecay, clip, seed), corpus);
    }

    private void refuseSettings() {
        List<String> allowed = List.of("--text", "--checkpoint", "--checkpoint-every", "--stop-at", "--resume");
        for (OptionSpec option : spec.commandLine().getParseResult().matchedOptions()) {
            if (!allowed.contains(option.longestName())) {
                throw new InputException(option.longestName() + " is given with --resume " + resume
                        + ", but a run that continues has the settings of its checkpoint");
            }
        }
    }

    private int run(Trainer trainer, int last, @Nullable Path target) {
        PrintWriter out = spec.commandLine().getOut();
        TrainingSettings settings = trainer.settings();
        line(
                out,
                "%s gate, %,d weights, %,d tokens per step, text: %s, %,d bytes",
                settings.shape().gate().label(),
                trainer.model().size(),
                settings.tokensPerStep(),
                trainer.corpus().name(),
                trainer.corpus().bytes().length);
        ProgressLine progress = new ProgressLine(out, settings);
        while (trainer.step() < last) {
            long start = System.nanoTime();
            Trainer.Progress step = trainer.next();
            progress.after(step, System.nanoTime() - start);
            if (!step.isFinite()) {
                progress.end();
                line(
                        out,
                        "diverged: the loss of step %d is %s and the norm of its gradient %s; try a lower"
                                + " --learning-rate than %s",
                        step.step(),
                        step.loss(),
                        step.gradient(),
                        settings.learningRate());
                return ExitCode.SOFTWARE;
            }
            if (target != null && (trainer.step() == last || every != null && trainer.step() % every == 0)) {
                Checkpoint.write(target, trainer);
            }
        }
        progress.end();
        report(out, trainer);
        if (target != null) {
            line(out, "checkpoint of step %d: %s", trainer.step(), target);
        }
        return 0;
    }

    private static void report(PrintWriter out, Trainer trainer) {
        line(
                out,
                "validation loss %.4f nats per byte (frequencies of bytes alone: %.4f)",
                trainer.validationLoss(),
                trainer.corpus().entropyOfBytes());
        ModelMeasures measures = trainer.measure();
        for (int layer = 0; layer < measures.layers().size(); layer++) {
            ModelMeasures.OfLayer of = measures.layers().get(layer);
            line(
                    out,
                    "layer %d: first-token attention %.3f, %slargest activation %.1f",
                    layer,
                    of.firstToken(),
                    Double.isNaN(of.gate()) ? "" : String.format(Locale.ROOT, "mean gate %.3f, ", of.gate()),
                    of.largest());
        }
    }

    @SuppressWarnings("AnnotateFormatMethod") // the annotation would be one more dependency
    private static void line(PrintWriter out, String format, Object... values) {
        out.println(String.format(Locale.ROOT, format, values));
        out.flush();
    }
}
