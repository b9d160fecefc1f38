package io.github.gatedattention.train;

import io.github.gatedattention.cli.InputException;
import io.github.gatedattention.cli.Paths;
import io.github.gatedattention.cli.Text;
import io.github.gatedattention.cli.Version;
import io.github.gatedattention.reporting.Machine;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.Locale;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Every gate of the example, trained alike, beside the paper's figures. */
@Command(
        name = "reproduce",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        sortOptions = false,
        description = {
            "Trains a small model with every gate of ga train, at two learning rates, and",
            "at rates that grow until training fails; writes tables and pictures beside the",
            "paper's figures. Takes about a quarter of an hour on two quiet cores.",
            ""
        })
final class ReproduceCommand implements Callable<Integer> {
    private static final String RESULTS = "ga.results";

    @Spec
    private CommandSpec spec;

    @Option(names = "--quick", description = "A few steps of each: a minute, to see that all works.")
    private boolean quick;

    @Option(names = "--steps", paramLabel = "N", description = "Steps of a run. Default: 200.")
    private @Nullable Integer steps;

    @Option(names = "--seeds", paramLabel = "N", description = "Runs of each gate and rate. Default: 2.")
    private @Nullable Integer seeds;

    @Option(
            names = "--text",
            paramLabel = "FILE",
            description = "What to learn from. Default: 2 MiB of generated stories.")
    private @Nullable String text;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            description = "Where to write. Default: bench/results/MACHINE/reproduce.")
    private @Nullable String out;

    @Override
    public Integer call() throws IOException {
        System.setProperty("java.awt.headless", "true");
        Experiment experiment = experiment();
        Corpus corpus = text == null ? Corpus.generated() : Corpus.of(Paths.parse("--text", text));
        corpus.require(experiment.settings(GateKind.NONE, 1, 1, 1).shape().context());
        Machine machine = Machine.current();
        Path directory = directory(machine); // before the work
        PrintWriter console = spec.commandLine().getOut();
        line(console, "%d runs on %s", experiment.runs(), machine.name());
        long start = System.nanoTime();
        int[] number = {0};
        ExperimentResults results = experiment.run(
                corpus,
                settings -> {
                    console.print(String.format(
                            Locale.ROOT,
                            "[%d/%d] %-17s rate %-5s seed %d: ",
                            ++number[0],
                            experiment.runs(),
                            settings.shape().gate().label(),
                            settings.learningRate(),
                            settings.seed()));
                    console.flush();
                },
                run -> line(
                        console,
                        "loss %.3f, first-token attention %.3f, largest activation %.1f, %,.0f tokens/s",
                        run.last().validation(),
                        run.last().measures().firstToken(),
                        run.last().measures().largest(),
                        run.tokensPerSecond()));
        long seconds = (System.nanoTime() - start) / 1_000_000_000;
        write(directory, results, machine, seconds);
        line(console, "%d s; %s", seconds, directory.resolve("reproduce.md"));
        return 0;
    }

    private Experiment experiment() {
        Experiment base = quick ? Experiment.quick() : Experiment.full();
        int runSteps = steps == null ? base.steps() : steps;
        int runSeeds = seeds == null ? base.seeds() : seeds;
        require("--steps", runSteps, 10, 1_000_000);
        require("--seeds", runSeeds, 1, 100);
        return new Experiment(runSteps, base.batch(), runSeeds, base.shortSteps());
    }

    private static void require(String what, int value, int least, int most) {
        if (value < least || value > most) {
            throw new InputException(what + " is " + value + ", but must be " + least + " to " + most);
        }
    }

    private Path directory(Machine machine) {
        Path directory = out == null
                ? Path.of(System.getProperty(RESULTS, "bench/results"), machine.slug(), "reproduce")
                : Paths.parse("--out", out);
        try {
            return Files.createDirectories(directory);
        } catch (IOException e) {
            throw new InputException(Text.line("--out " + directory + " cannot be made: " + e.getMessage()), e);
        }
    }

    private static void write(Path directory, ExperimentResults results, Machine machine, long seconds)
            throws IOException {
        String date = LocalDate.now(ZoneOffset.UTC).toString();
        Files.writeString(
                directory.resolve("reproduce.md"), ReproduceMarkdown.text(results, machine.name(), date, seconds));
        Files.writeString(
                directory.resolve("reproduce.json"), ReproduceJson.text(results, machine.name(), date, seconds));
        TrainingSettings settings = results.table().getFirst().settings();
        for (ReproducePicture picture : ReproducePicture.values()) {
            String below = String.format(
                    Locale.ROOT,
                    "%s, %s; %d tokens per step, %s",
                    machine.name(),
                    date,
                    settings.tokensPerStep(),
                    picture == ReproducePicture.RISING
                            ? results.experiment().shortSteps() + " steps, seed 1"
                            : "means over seeds: " + results.experiment().seeds());
            Files.write(directory.resolve(picture.file()), picture.png(results, below));
        }
    }

    @SuppressWarnings("AnnotateFormatMethod") // the annotation would be one more dependency
    private static void line(PrintWriter out, String format, Object... values) {
        out.println(String.format(Locale.ROOT, format, values));
        out.flush();
    }
}
