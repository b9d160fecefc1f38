package io.github.gatedattention.bench;

import io.github.gatedattention.bench.peers.Implementation;
import io.github.gatedattention.bench.peers.Trainer;
import io.github.gatedattention.bench.report.Limits;
import io.github.gatedattention.bench.report.Report;
import io.github.gatedattention.bench.sidebyside.SideBySide;
import io.github.gatedattention.reporting.Machine;
import java.io.IOException;
import java.net.URISyntaxException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Collection;
import java.util.Map;
import org.openjdk.jmh.profile.GCProfiler;
import org.openjdk.jmh.results.RunResult;
import org.openjdk.jmh.results.format.ResultFormatType;
import org.openjdk.jmh.runner.Runner;
import org.openjdk.jmh.runner.RunnerException;
import org.openjdk.jmh.runner.options.ChainedOptionsBuilder;
import org.openjdk.jmh.runner.options.OptionsBuilder;
import org.openjdk.jmh.runner.options.TimeValue;

/** {@code ./ga bench}: runs the benchmarks with every peer tuned, and writes JMH's JSON and a table. */
public final class BenchMain {
    private static final int WRONG_USAGE = 2;

    private BenchMain() {}

    /**
     * Runs the benchmarks.
     *
     * @param args see {@link Arguments#USAGE}
     */
    public static void main(String[] args) throws Exception {
        int code;
        try {
            code = run(args);
        } catch (IllegalArgumentException e) {
            System.err.println("bench: " + e.getMessage());
            code = WRONG_USAGE;
        }
        System.exit(code);
    }

    private static int run(String[] args) throws Exception {
        Arguments arguments = Arguments.parse(args);
        if (arguments.help()) {
            System.out.print(Arguments.USAGE);
            return 0;
        }
        Path module = moduleDirectory();
        Machine machine = Machine.current();
        if (arguments.report()) {
            report(arguments, module, machine);
            return 0;
        }
        Launch launch = new Launch(arguments.threads(), module.resolve("target/expected"));
        if (!Launch.isTuned()) {
            return launch.again(BenchMain.class, args, machine.avx512());
        }
        Path results = arguments.resultsOr(results(module, machine));
        Files.createDirectories(results);
        Report report = new Report(
                machine,
                arguments.threads(),
                launch.environment(machine.avx512()),
                arguments.fullLength(),
                Limits.measure(module.resolve("../..").normalize(), arguments.threads()),
                arguments.matches(ForwardBenchmark.class) || arguments.matches(TrainingBenchmark.class)
                        ? Peers.absent(launch)
                        : Map.of());
        System.out.println(report.header());
        Collection<RunResult> measured =
                measure(arguments, launch, report.absent(), results.resolve(arguments.fileName("jmh", ".json")));
        String text = report.text(measured);
        Files.writeString(results.resolve(arguments.fileName("results", ".md")), text);
        System.out.println(text);
        System.out.println("Written to " + results);
        return 0;
    }

    private static void report(Arguments arguments, Path module, Machine machine)
            throws IOException, InterruptedException {
        Path results = arguments.resultsOr(results(module, machine));
        var report = new SideBySide(
                module.resolve("../..").normalize(),
                results,
                machine,
                arguments.threads(),
                arguments.fullLength(),
                arguments.pattern(),
                arguments.fileName("", ""));
        if (arguments.redraw()) {
            report.redraw();
        } else {
            report.measure();
        }
        if (arguments.readme()) {
            report.writeReadme();
        }
    }

    private static Path results(Path module, Machine machine) {
        return module.resolveSibling("results").resolve(machine.slug());
    }

    private static Collection<RunResult> measure(
            Arguments arguments, Launch launch, Map<Implementation, String> absent, Path json) throws RunnerException {
        String[] present = Implementation.inBenchmarks().stream()
                .filter(implementation -> !absent.containsKey(implementation))
                .map(Implementation::name)
                .toArray(String[]::new);
        String[] trainers = Arrays.stream(Trainer.Kind.values())
                .filter(kind -> !absent.containsKey(kind.implementation()))
                .map(Trainer.Kind::name)
                .toArray(String[]::new);
        ChainedOptionsBuilder options = new OptionsBuilder()
                .include(arguments.pattern())
                .param("implementation", present)
                .param("trainer", trainers)
                .addProfiler(ErrorProfiler.class)
                .addProfiler(GCProfiler.class)
                .jvmArgsAppend(launch.properties().toArray(String[]::new))
                .resultFormat(ResultFormatType.JSON)
                .result(json.toString());
        if (arguments.fullLength()) {
            options.forks(3)
                    .warmupIterations(3)
                    .warmupTime(TimeValue.seconds(2))
                    .measurementIterations(5)
                    .measurementTime(TimeValue.seconds(1));
        }
        Collection<RunResult> results = new Runner(options.build()).run();
        if (results.isEmpty()) {
            throw new IllegalArgumentException("no benchmark was measured for the pattern '" + arguments.pattern()
                    + "'; see what JMH printed above");
        }
        return results;
    }

    /** The directory bench/jmh: the JAR and the classes are both in its target. */
    private static Path moduleDirectory() throws URISyntaxException, IOException {
        Path code = Path.of(BenchMain.class
                .getProtectionDomain()
                .getCodeSource()
                .getLocation()
                .toURI());
        return code.toRealPath().resolve("../..").normalize();
    }
}
