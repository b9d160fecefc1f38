package io.github.gatedattention.cli.measure;

import io.github.gatedattention.AttentionMap;
import io.github.gatedattention.AttentionStatistics;
import io.github.gatedattention.ValueProbe;
import io.github.gatedattention.ValueStatistics;
import java.awt.Color;
import java.awt.Font;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.stream.IntStream;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.ChartEncoder;
import org.knowm.xchart.HeatMapChart;
import org.knowm.xchart.HeatMapChartBuilder;
import org.knowm.xchart.internal.chartpart.Chart;
import org.knowm.xchart.style.Styler;

/** Draws what was measured, as PNG. */
public final class MeasureCharts {
    private static final int WIDTH = 1000;
    private static final int HEIGHT = 900;
    private static final int LABELS = 8;
    private static final Color INK = new Color(0x22303a);
    private static final Color BAR = new Color(0x1b6f7a);
    private static final Color[] RANGE = {Color.WHITE, new Color(0x8fd0c9), BAR, new Color(0x0b2730)};

    private MeasureCharts() {}

    /** A head's attention: queries run downward, keys to the right. */
    public static byte[] map(String title, AttentionMap map) throws IOException {
        HeatMapChart chart = heatMap(title, "keys, as shares of the sequence", "queries");
        List<Number[]> cells = new ArrayList<>();
        for (int r = 0; r < map.rows(); r++) {
            for (int c = 0; c < map.columns(); c++) {
                // The axis begins at the bottom, where the last queries are to be.
                cells.add(new Number[] {c, map.rows() - 1 - r, map.get(r, c)});
            }
        }
        chart.addSeries(
                "probability",
                IntStream.range(0, map.columns()).boxed().toList(),
                IntStream.range(0, map.rows()).boxed().toList(),
                cells);
        chart.getStyler().setXAxisTickLabelsFormattingFunction(x -> percent(x, map.columns()));
        chart.getStyler().setYAxisTickLabelsFormattingFunction(y -> percent(map.rows() - y, map.rows()));
        return png(chart);
    }

    private static String percent(double cell, int cells) {
        return String.format(Locale.ROOT, "%.0f %%", 100 * cell / cells);
    }

    /** The share of attention on the first token: a column per layer, a row per head. */
    public static byte[] firstToken(String title, List<AttentionStatistics> layers) throws IOException {
        HeatMapChart chart = heatMap(title, "layer", "head");
        int heads = layers.stream().mapToInt(AttentionStatistics::heads).max().orElse(0);
        List<Number[]> cells = new ArrayList<>();
        for (int layer = 0; layer < layers.size(); layer++) {
            for (int h = 0; h < layers.get(layer).heads(); h++) {
                cells.add(new Number[] {layer, h, layers.get(layer).firstToken(h)});
            }
        }
        chart.getStyler().setMin(0);
        chart.getStyler().setMax(1);
        chart.addSeries(
                "F-Attn",
                IntStream.range(0, layers.size()).boxed().toList(),
                IntStream.range(0, heads).boxed().toList(),
                cells);
        return png(chart);
    }

    /** The values of a gate, as the probe counted them. */
    public static byte[] histogram(String title, ValueProbe probe, ValueStatistics.Summary summary) throws IOException {
        CategoryChart chart = new CategoryChartBuilder()
                .width(WIDTH)
                .height(HEIGHT * 2 / 3)
                .title(title)
                .xAxisTitle(String.format(
                        Locale.ROOT,
                        "mean %.3f, %.1f %% below 0.1, %.1f %% above 0.9",
                        summary.mean(),
                        100 * summary.shareBelow(),
                        100 * summary.shareAbove()))
                .yAxisTitle("share of values")
                .build();
        style(chart.getStyler());
        chart.getStyler().setLegendVisible(false);
        chart.getStyler().setAvailableSpaceFill(0.95);
        chart.getStyler().setSeriesColors(new Color[] {BAR});
        chart.getStyler().setXAxisMaxLabelCount(LABELS);
        List<String> bins = new ArrayList<>();
        List<Double> shares = new ArrayList<>();
        int count = summary.histogram().size();
        for (int n = 0; n < count; n++) {
            double middle = probe.low() + (n + 0.5) * (probe.high() - probe.low()) / count;
            bins.add(String.format(Locale.ROOT, "%.2f", middle));
            shares.add((double) summary.histogram().get(n) / Math.max(1, summary.count()));
        }
        chart.addSeries("values", bins, shares);
        return png(chart);
    }

    private static HeatMapChart heatMap(String title, String x, String y) {
        HeatMapChart chart = new HeatMapChartBuilder()
                .width(WIDTH)
                .height(HEIGHT)
                .title(title)
                .xAxisTitle(x)
                .yAxisTitle(y)
                .build();
        style(chart.getStyler());
        chart.getStyler().setRangeColors(RANGE);
        chart.getStyler().setPlotContentSize(1);
        chart.getStyler().setXAxisMaxLabelCount(LABELS);
        return chart;
    }

    private static void style(Styler styler) {
        Font text = new Font(Font.SANS_SERIF, Font.PLAIN, 16);
        styler.setBaseFont(text);
        styler.setChartTitleFont(text.deriveFont(Font.BOLD, 20f));
        styler.setChartTitleBoxVisible(false);
        styler.setChartFontColor(INK);
        styler.setChartBackgroundColor(Color.WHITE);
        styler.setPlotBackgroundColor(Color.WHITE);
        styler.setPlotBorderVisible(false);
        styler.setLegendBorderColor(Color.WHITE);
        styler.setChartPadding(24);
    }

    private static byte[] png(Chart<?, ?> chart) throws IOException {
        var bytes = new ByteArrayOutputStream();
        ChartEncoder.saveChart(chart, bytes, "png");
        return bytes.toByteArray();
    }
}
