package io.github.gatedattention.bench.sidebyside;

import static io.github.gatedattention.reporting.Markdown.format;

import io.github.gatedattention.bench.peers.Host;
import io.github.gatedattention.bench.peers.Implementation;
import io.github.gatedattention.bench.peers.Trainer;
import io.github.gatedattention.reporting.Machine;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.LocalDate;
import java.time.ZoneOffset;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import java.util.regex.Pattern;

/**
 * {@code ./ga bench --report}: measures everything in one run, in turns, and writes JSON, tables and pictures.
 *
 * @param repository the root of the repository
 * @param results the directory to write to
 * @param machine where it runs
 * @param threads how many threads everyone may use
 * @param full whether to measure for publication
 * @param pattern which comparisons, a regular expression found in their names; those that it leaves out are not measured
 * @param suffix what the names of the files get, so that a part does not overwrite the whole
 */
public record SideBySide(
        Path repository, Path results, Machine machine, int threads, boolean full, String pattern, String suffix) {
    /** Where the time of this library's calls goes, in patterns. */
    private static final String STAGES = "STAGES";

    /** Measures and writes. */
    public void measure() throws IOException, InterruptedException {
        int processors = Runtime.getRuntime().availableProcessors();
        List<Comparison> comparisons = Comparison.all(threads, processors).stream()
                .filter(comparison -> comparison.matches(pattern))
                .toList();
        boolean stages = Pattern.compile(pattern).matcher(STAGES).find();
        if (comparisons.isEmpty() && !stages) {
            throw new IllegalArgumentException("the pattern '" + pattern + "' is found in none of "
                    + Comparison.all(threads, processors).stream()
                            .map(Comparison::name)
                            .toList()
                    + " nor is it in " + STAGES);
        }
        Document document = measure(comparisons, stages);
        Files.createDirectories(results);
        Files.writeString(json(), DocumentJson.write(document));
        write(document);
    }

    private Document measure(List<Comparison> comparisons, boolean stages) throws IOException, InterruptedException {
        List<Measured> rows = new ArrayList<>();
        long begin = System.nanoTime();
        try (var limits = new LimitsProcess(repository);
                var workers = new Workers(repository.resolve("bench"), machine.avx512())) {
            var turns = new Turns(workers, limits, full ? Effort.FULL : Effort.QUICK);
            for (Comparison comparison : comparisons) {
                System.out.printf(
                        Locale.ROOT,
                        "%s (%d of %d, %d s)%n",
                        comparison.name(),
                        comparisons.indexOf(comparison) + 1,
                        comparisons.size(),
                        TimeUnit.NANOSECONDS.toSeconds(System.nanoTime() - begin));
                List<Measured> measured = turns.measure(comparison);
                measured.forEach(SideBySide::print);
                rows.addAll(measured);
                workers.endComparison(threads);
            }
            return document(limits.absence(), stages ? Stages.measure(repository, threads) : Stages.leftOut(), rows);
        }
    }

    private Document document(String limitsAbsence, Stages stages, List<Measured> rows) {
        Map<String, String> tuning = new LinkedHashMap<>();
        for (Implementation implementation : Implementation.values()) {
            tuning.put(implementation.title(), implementation.tuning());
        }
        for (Trainer.Kind trainer : Trainer.Kind.values()) {
            tuning.put(trainer.implementation().title() + ", training", trainer.tuning());
        }
        Map<String, String> environment = new LinkedHashMap<>();
        for (Host host : Host.values()) {
            environment.put(host.name().toLowerCase(Locale.ROOT).replace('_', ' '), environment(host));
        }
        return new Document(
                LocalDate.now(ZoneOffset.UTC).toString(),
                machine.name(),
                System.getProperty("java.vm.name") + " " + System.getProperty("java.vm.version"),
                threads,
                full,
                limitsAbsence,
                tuning,
                environment,
                stages,
                List.copyOf(rows));
    }

    private String environment(Host host) {
        List<String> words = new ArrayList<>();
        host.environment(threads, machine.avx512()).forEach((name, value) -> words.add(name + "=" + value));
        words.addAll(host.jvmOptions(threads, machine.avx512()));
        return String.join(" ", words);
    }

    private static void print(Measured row) {
        System.out.println(
                row.isPresent()
                        ? format(
                                "  %-22s %-40s %2d  %10.4f ms  (%.4f to %.4f)  %5s  %.1e",
                                row.entry().workload(),
                                row.entry().implementation().title(),
                                row.entry().threads(),
                                row.nanos() / 1e6,
                                row.lowNanos() / 1e6,
                                row.highNanos() / 1e6,
                                Double.isNaN(row.share()) ? "" : ReportMarkdown.percent(row.share()),
                                row.error())
                        : format(
                                "  %-22s %-40s %2d  %s",
                                row.entry().workload(),
                                row.entry().implementation().title(),
                                row.entry().threads(),
                                row.absence()));
    }

    /** Writes tables and pictures anew from what was measured before. */
    public void redraw() throws IOException {
        write(read());
    }

    /** Writes the block of README.md from what was measured before. */
    public void writeReadme() throws IOException {
        Path readme = repository.resolve("README.md");
        String link =
                repository.relativize(results.toAbsolutePath().normalize()).toString();
        Files.writeString(readme, ReadmeBlock.replace(Files.readString(readme), ReadmeText.of(read(), link)));
        System.out.println("README.md now shows this report");
    }

    private Document read() throws IOException {
        if (!Files.exists(json())) {
            throw new IllegalArgumentException(json() + " is not there; measure first: ./ga bench --report");
        }
        return DocumentJson.read(Files.readString(json()));
    }

    private Path json() {
        return results.resolve("report" + suffix + ".json");
    }

    private void write(Document document) throws IOException {
        Files.writeString(results.resolve("report" + suffix + ".md"), ReportMarkdown.text(document));
        if (suffix.isEmpty()) { // pictures of a part would replace those of the whole
            for (Picture picture : Picture.values()) {
                if (picture.hasData(document)) {
                    Files.write(results.resolve(picture.file()), picture.png(document));
                }
            }
        }
        System.out.println("Written to " + results);
    }
}
