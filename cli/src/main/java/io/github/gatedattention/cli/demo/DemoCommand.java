package io.github.gatedattention.cli.demo;

import io.github.gatedattention.Backend;
import io.github.gatedattention.DataType;
import io.github.gatedattention.InstructionSet;
import io.github.gatedattention.Plan;
import io.github.gatedattention.bindings.LibraryFacts;
import io.github.gatedattention.cli.Backends;
import io.github.gatedattention.cli.InputException;
import io.github.gatedattention.cli.InstructionSets;
import io.github.gatedattention.cli.Machine;
import io.github.gatedattention.cli.Names;
import io.github.gatedattention.cli.Paths;
import io.github.gatedattention.cli.Text;
import io.github.gatedattention.cli.Version;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.concurrent.Callable;
import java.util.stream.Stream;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** The main job in under a minute: right by the official implementation's numbers, and fast beside Java alone. */
@Command(
        name = "demo",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        description = {
            "Checks a layer of the official implementation, then times attention of a Qwen3-Next layer",
            "beside plain Java and the Vector API, and draws the comparison. Takes about a minute.",
            ""
        },
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {"0:every check passed", "1:a result was not within the allowed error", "2:wrong usage or input"
        })
public final class DemoCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Option(
            names = "--out",
            paramLabel = "FILE.png",
            defaultValue = "demo.png",
            description = "The picture. Default: ${DEFAULT-VALUE}.")
    private String out;

    @Override
    public Integer call() {
        System.setProperty("java.awt.headless", "true");
        Path picture = Paths.parse("--out", out);
        requireWritable(picture); // before the minute of work
        var printer = new DemoPrinter(spec.commandLine().getOut());
        Backend backend = Backends.best();
        int threads = Runtime.getRuntime().availableProcessors();
        Machine machine = Machine.current();
        printer.machine(machine, library(), threads);
        List<OfficialVector.Result> official = Stream.of(DataType.F32, DataType.BF16)
                .map(type -> OfficialVector.compare(type, backend, threads))
                .toList();
        printer.official(official);
        printer.layer();
        Comparison comparison = Comparison.run(backend, threads);
        printer.comparison(comparison, why(comparison.prefillPlan()));
        draw(picture, machine, comparison);
        printer.line("");
        printer.line("picture: %s", picture);
        boolean right = official.stream().allMatch(result -> result.accuracy().isRight())
                && comparison.prefill().isRight()
                && comparison.decode().isRight();
        return right ? ExitCode.OK : ExitCode.SOFTWARE;
    }

    private static String library() {
        String reason = Backend.cpu().unavailableReason();
        return reason == null
                ? LibraryFacts.buildInfo()
                : "pure Java, slower, because there is no native library: " + reason;
    }

    /** Why this kernel and no better one: the first better instruction set that has a reason against it. */
    private static String why(Plan plan) {
        if (plan.backend().equals(Backend.java().name())) {
            return "pure Java because the native library is missing, see ga doctor";
        }
        String chosen = Names.of(plan.instructionSet());
        for (InstructionSet better : InstructionSet.values()) {
            if (better.compareTo(plan.instructionSet()) > 0) {
                return chosen + ", not " + Names.of(better) + ": "
                        + InstructionSets.reasonAgainst(better, plan.instructionSet());
            }
        }
        return chosen + " is the best instruction set there is, and this machine has it";
    }

    private static void requireWritable(Path picture) {
        Path directory = picture.toAbsolutePath().getParent();
        if (directory == null
                || Files.isDirectory(picture)
                || !Files.isDirectory(directory)
                || !Files.isWritable(directory)) {
            throw new InputException(Text.line("--out " + picture + " cannot be written: "
                    + (Files.isDirectory(picture)
                            ? "it is a directory"
                            : directory + " is no directory that can be written to")));
        }
    }

    private static void draw(Path picture, Machine machine, Comparison comparison) {
        try {
            String name = machine.processor() + ", " + machine.cores() + " cores";
            Files.write(picture, ComparisonChart.png(name, comparison.contestants()));
        } catch (IOException e) {
            throw new InputException(Text.line("--out " + picture + " cannot be written: " + e.getMessage()), e);
        }
    }
}
