package io.github.gatedattention.train;

import io.github.gatedattention.reporting.ChartStyle;
import java.awt.BasicStroke;
import java.awt.Color;
import java.io.IOException;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** The pictures of {@link ExperimentResults}: a line per gate, whole at the lower learning rate, dashed at the higher. */
enum ReproducePicture {
    /** How fast each gate learns. */
    LOSS("loss.png", "Loss on text that is not learned from", "nats per byte"),
    /** Whether a sink grows. */
    FIRST_TOKEN("first-token.png", "Attention on the first token (F-Attn)", "share of attention"),
    /** How large hidden states get. */
    LARGEST("largest-activation.png", "Largest activation, the mean over blocks", "magnitude, logarithmic"),
    /** What fails first. */
    RISING("learning-rates.png", "Loss after a short run, as the learning rate grows", "nats per byte");

    private static final BasicStroke WHOLE = new BasicStroke(3);
    private static final BasicStroke DASHED =
            new BasicStroke(3, BasicStroke.CAP_BUTT, BasicStroke.JOIN_ROUND, 10, new float[] {9, 7}, 0);

    private final String file;
    private final String caption;
    private final String unit;

    ReproducePicture(String file, String caption, String unit) {
        this.file = file;
        this.caption = caption;
        this.unit = unit;
    }

    String file() {
        return file;
    }

    String caption() {
        return caption;
    }

    /** The picture as a PNG; {@code below} says where the figures are from. */
    byte[] png(ExperimentResults results, String below) throws IOException {
        XYChart chart = new XYChartBuilder()
                .width(ChartStyle.WIDTH)
                .height(ChartStyle.HEIGHT)
                .title(caption)
                .xAxisTitle(this == RISING ? "learning rate, logarithmic" : "steps")
                .yAxisTitle(unit)
                .build();
        ChartStyle.apply(chart.getStyler());
        chart.getStyler().setYAxisLogarithmic(this == LARGEST);
        chart.getStyler().setXAxisLogarithmic(this == RISING);
        chart.getStyler().setDecimalPattern(this == RISING ? "0.###" : "#,##0.##");
        chart.getStyler().setMarkerSize(7);
        for (GateKind gate : Experiment.GATES) {
            if (this == RISING) {
                rising(chart, results, gate);
            } else {
                Experiment.RATES.forEach(rate -> curve(chart, results, gate, rate));
            }
        }
        return ChartStyle.png(chart, below);
    }

    private void curve(XYChart chart, ExperimentResults results, GateKind gate, double rate) {
        List<RunResult.Point> points = results.runs(gate, rate).getFirst().curve();
        double[] steps = points.stream().mapToDouble(RunResult.Point::step).toArray();
        double[] values = IntStream.range(0, steps.length)
                .mapToDouble(point -> results.mean(gate, rate, point, this::value))
                .map(value -> Double.isFinite(value) ? value : Double.NaN) // a gap in the line
                .toArray();
        String name = String.format(Locale.ROOT, "%s, %s", gate.label(), rate);
        add(chart, name, steps, values, gate, rate == Experiment.RATES.getFirst() ? WHOLE : DASHED);
    }

    private static void rising(XYChart chart, ExperimentResults results, GateKind gate) {
        List<RunResult> runs =
                results.rising(gate).stream().filter(RunResult::finite).toList();
        double[] rates =
                runs.stream().mapToDouble(run -> run.settings().learningRate()).toArray();
        double[] losses =
                runs.stream().mapToDouble(run -> run.last().validation()).toArray();
        if (rates.length > 0) {
            add(chart, gate.label(), rates, losses, gate, WHOLE);
        }
    }

    private double value(RunResult.Point point) {
        return switch (this) {
            case LOSS, RISING -> point.validation();
            case FIRST_TOKEN -> point.measures().firstToken();
            case LARGEST -> point.measures().largest();
        };
    }

    private static void add(XYChart chart, String name, double[] x, double[] y, GateKind gate, BasicStroke stroke) {
        XYSeries series = chart.addSeries(name, x, y);
        series.setLineColor(color(gate));
        series.setMarkerColor(color(gate));
        series.setMarker(SeriesMarkers.CIRCLE);
        series.setLineStyle(stroke);
    }

    private static Color color(GateKind gate) {
        return new Color(
                switch (gate) {
                    case NONE -> 0x8a9aa5;
                    case HEADWISE -> 0x1f9aa8;
                    case ELEMENTWISE -> 0x0b4f59;
                    case NS_SIGMOID -> 0xd9822b;
                    case INPUT_INDEPENDENT -> 0x7a5195;
                });
    }
}
