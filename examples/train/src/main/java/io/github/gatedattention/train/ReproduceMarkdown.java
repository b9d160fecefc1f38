package io.github.gatedattention.train;

import static io.github.gatedattention.reporting.Markdown.NONE;
import static io.github.gatedattention.reporting.Markdown.format;
import static io.github.gatedattention.reporting.Markdown.line;
import static io.github.gatedattention.reporting.Markdown.tableHead;
import static io.github.gatedattention.reporting.Markdown.tableRow;

import java.util.ArrayList;
import java.util.List;
import java.util.function.ToDoubleFunction;
import java.util.stream.Collectors;

/** {@link ExperimentResults} as text: what was done, a table beside the paper's, what fails first, and what it is worth. */
final class ReproduceMarkdown {
    private ReproduceMarkdown() {}

    static String text(ExperimentResults results, String machine, String date, long seconds) {
        StringBuilder text = new StringBuilder("# The paper's gates in a small model\n\n");
        TrainingSettings settings = results.table().getFirst().settings();
        ModelShape shape = settings.shape();
        line(
                text,
                "Written by `./ga reproduce` on %s; %s; %,d s for %d runs.%n",
                date,
                machine,
                seconds,
                results.table().size() + results.rising().size());
        line(
                text,
                "A language model of bytes with %,d to %,d weights: %d layers, d %d, Hq %d, Hkv %d, D %d, "
                        + "%d bytes of context, %d tokens per step, %d steps (%,d tokens), text: %s. "
                        + "AdamW, weight decay %s, gradients clipped at %s, a tenth of the steps warm-up, then a cosine to a tenth. %s",
                results.table().stream().mapToLong(RunResult::weights).min().orElseThrow(),
                results.table().stream().mapToLong(RunResult::weights).max().orElseThrow(),
                shape.layers(),
                shape.width(),
                shape.queryHeads(),
                shape.keyValueHeads(),
                shape.headDim(),
                shape.context(),
                settings.tokensPerStep(),
                settings.steps(),
                (long) settings.steps() * settings.tokensPerStep(),
                results.text(),
                settings.weightDecay(),
                settings.clip(),
                results.experiment().seeds() == 1
                        ? "One seed."
                        : "Figures are means over " + results.experiment().seeds()
                                + " seeds, which give each gate the same first weights and batches.");
        table(text, results);
        rising(text, results);
        text.append(WORTH);
        return text.toString();
    }

    private static void table(StringBuilder text, ExperimentResults results) {
        text.append("\n## Beside the paper\n\n");
        tableHead(
                text,
                List.of(
                        "gate",
                        "learning rate",
                        "loss, nats per byte",
                        "of each seed",
                        "F-Attn",
                        "mean gate",
                        "largest activation",
                        "paper: perplexity",
                        "F-Attn",
                        "mean gate",
                        "largest activation"));
        for (GateKind gate : Experiment.GATES) {
            PaperFigures paper = PaperFigures.of(gate);
            for (double rate : Experiment.RATES) {
                boolean first = rate == Experiment.RATES.getFirst();
                List<String> cells = new ArrayList<>();
                cells.add(first ? gate.label() : "");
                cells.add(Double.toString(rate));
                cells.add(format("%.3f", last(results, gate, rate, RunResult.Point::validation)));
                cells.add(results.runs(gate, rate).stream()
                        .map(run -> format("%.3f", run.last().validation()) + (run.finite() ? "" : " (not finite)"))
                        .collect(Collectors.joining(", ")));
                cells.add(format(
                        "%.3f",
                        last(results, gate, rate, point -> point.measures().firstToken())));
                cells.add(figure(
                        "%.3f",
                        last(results, gate, rate, point -> point.measures().gate())));
                cells.add(format(
                        "%.1f",
                        last(results, gate, rate, point -> point.measures().largest())));
                cells.add(first ? format("%.3f (%s)", paper.perplexity(), paper.row()) : "");
                cells.add(first ? format("%.3f", paper.firstToken()) : "");
                cells.add(first ? figure("%.3f", paper.gate()) : "");
                cells.add(first ? format("%.0f", paper.largest()) : "");
                tableRow(text, cells);
            }
        }
        line(
                text,
                "%nThe loss is of text that was not learned from; the frequencies of bytes alone have %.3f. F-Attn is the attention on"
                        + " the first token, the mean over queries, heads and layers; attention that is alike on all keys has %.3f here."
                        + " The largest activation is that of the residual stream after a block, the mean over blocks.%n",
                results.entropyOfBytes(),
                results.uniformFirstToken());
        for (ReproducePicture picture : ReproducePicture.values()) {
            line(text, "![%s](%s)%n", picture.caption(), picture.file());
        }
    }

    private static void rising(StringBuilder text, ExperimentResults results) {
        text.append("## What fails first as the learning rate grows\n\n");
        line(
                text,
                "%d steps at rates that double, seed 1: the loss at the end, **bold** where it is not %s nats below that of the"
                        + " frequencies of bytes, or was not finite on the way.%n",
                results.experiment().shortSteps(),
                Experiment.LEARNED);
        List<String> head = new ArrayList<>(List.of("gate"));
        Experiment.RISING.forEach(rate -> head.add(Double.toString(rate)));
        head.add("fails from");
        tableHead(text, head);
        for (GateKind gate : Experiment.GATES) {
            List<String> cells = new ArrayList<>(List.of(gate.label()));
            for (RunResult run : results.rising(gate)) {
                String loss = run.finite() ? format("%.3f", run.last().validation()) : "not finite";
                cells.add(run.failed(results.entropyOfBytes()) ? "**" + loss + "**" : loss);
            }
            cells.add(
                    results.firstFailure(gate).isPresent()
                            ? Double.toString(results.firstFailure(gate).getAsDouble())
                            : "none of these");
            tableRow(text, cells);
        }
    }

    private static double last(
            ExperimentResults results, GateKind gate, double rate, ToDoubleFunction<RunResult.Point> value) {
        return results.mean(gate, rate, Integer.MAX_VALUE, value);
    }

    private static String figure(String format, double value) {
        return Double.isNaN(value) ? NONE : format(format, value);
    }

    private static final String WORTH = """

            ## What this can show, and what it cannot

            The paper trains 15B weights on 400B tokens of text; this trains under a million weights for minutes, on stories that a
            program makes up unless it is given a text. It can show that every gate trains, forward and backward; how losses and
            activations compare at equal steps, seeds and numbers of weights **in this setting**; and how far up the learning rate goes.

            It cannot show the paper's attention sinks: they belong to large models and long training. Where F-Attn above is near that of
            attention that is alike on all keys there is no sink to remove, and no figure here confirms or refutes 0.467 and 0.048. Nor
            can it show how far gates close: their means are still on the way from where they begin, 0.5, or 0.75 of NS-sigmoid.

            A gate that begins at 0.5 also halves what attention adds to the residual stream at first. That alone moves losses,
            activations and the rate at which training fails, and these runs do not tell it apart from what gates do later. Losses in
            nats per byte are no perplexities per token. Differences of the size of those between two seeds mean nothing.
            """;
}
