package io.github.gatedattention.cli.demo;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import org.knowm.xchart.AnnotationText;
import org.knowm.xchart.CategoryChart;
import org.knowm.xchart.CategoryChartBuilder;
import org.knowm.xchart.ChartEncoder;
import org.knowm.xchart.style.CategoryStyler;
import org.knowm.xchart.style.Styler;

/** Draws times as bars on a logarithmic scale, each with its time and how many times this library's time it is. */
final class ComparisonChart {
    private static final int WIDTH = 1280;
    private static final int HEIGHT = 760;
    private static final double MILLI = 1e3;

    /** Teal for this library; two grays for what it is compared with. */
    private static final List<Color> COLORS = List.of(new Color(0x1b6f7a), new Color(0x8a9aa5), new Color(0xc3ccd2));

    private static final Color INK = new Color(0x22303a);
    private static final Color FAINT = new Color(0xeceff1);
    private static final double BAR_SPACE = 0.78;

    /** From a bar's end to the middle of its label, as a share of the axis. */
    private static final double ABOVE = 0.025;

    private ComparisonChart() {}

    /** A PNG of the comparison. */
    static byte[] png(String machine, List<Contestant> contestants) throws IOException {
        CategoryChart chart = new CategoryChartBuilder()
                .width(WIDTH)
                .height(HEIGHT)
                .title("Gated attention, one Qwen3-Next layer, on " + machine)
                .xAxisTitle(String.format(
                        Locale.ROOT,
                        "Hq %d, Hkv %d, D %d, causal, elementwise sigmoid gate; in parentheses: times the first bar",
                        Layer.QUERY_HEADS,
                        Layer.KEY_VALUE_HEADS,
                        Layer.DIM))
                .yAxisTitle("milliseconds, logarithmic")
                .build();
        double[] times = contestants.stream()
                .flatMapToDouble(c -> times(c).stream().mapToDouble(t -> t))
                .toArray();
        double least = Math.floor(Math.log10(Arrays.stream(times).min().orElse(1) / 2));
        double most = Math.ceil(Math.log10(Arrays.stream(times).max().orElse(1) * 1.5));
        double above = Math.pow(10, (most - least) * ABOVE);
        style(chart.getStyler());
        chart.getStyler().setYAxisMin(Math.pow(10, least));
        chart.getStyler().setYAxisMax(Math.pow(10, most));
        List<String> groups = List.of(
                String.format(Locale.ROOT, "prefill of %,d tokens", Layer.PROMPT),
                String.format(Locale.ROOT, "decode, per token, after %,d", Layer.PROMPT));
        for (Contestant contestant : contestants) {
            chart.addSeries(contestant.name(), groups, times(contestant));
        }
        for (int group = 0; group < groups.size(); group++) {
            for (int i = 0; i < contestants.size(); i++) {
                double time = times(contestants.get(i)).get(group);
                double ratio = time / times(contestants.getFirst()).get(group);
                // Each group is 1 wide, and its bars share BAR_SPACE of that.
                double x = group + 0.5 + BAR_SPACE * ((i + 0.5) / contestants.size() - 0.5);
                chart.addAnnotation(new AnnotationText(label(time, ratio), x, time * above, false));
            }
        }
        var bytes = new ByteArrayOutputStream();
        ChartEncoder.saveChart(chart, bytes, "png");
        return bytes.toByteArray();
    }

    private static List<Double> times(Contestant contestant) {
        return List.of(contestant.prefillSeconds() * MILLI, contestant.decodeSeconds() * MILLI);
    }

    private static String label(double milliseconds, double ratio) {
        String time = milliseconds < 1
                ? Numbers.significant(milliseconds * MILLI) + " \u00b5s"
                : Numbers.significant(milliseconds) + " ms";
        return ratio == 1 ? time : time + "  (" + Numbers.ratio(ratio) + ")";
    }

    private static void style(CategoryStyler styler) {
        styler.setYAxisLogarithmic(true);
        styler.setYAxisLogarithmicDecadeOnly(true);
        styler.setYAxisTickLabelsFormattingFunction(
                value -> value < 1 ? value.toString() : String.format(Locale.ROOT, "%,.0f", value));
        styler.setAvailableSpaceFill(BAR_SPACE);
        styler.setSeriesColors(COLORS.toArray(Color[]::new));
        styler.setLabelsVisible(false);
        Font text = new Font(Font.SANS_SERIF, Font.PLAIN, 16);
        styler.setBaseFont(text);
        styler.setChartTitleFont(text.deriveFont(Font.BOLD, 20f));
        styler.setChartTitleBoxVisible(false);
        styler.setChartTitlePadding(18);
        styler.setAxisTitleFont(text);
        styler.setAxisTickLabelsFont(text);
        styler.setAnnotationTextFont(text.deriveFont(Font.BOLD, 15f));
        styler.setAnnotationTextFontColor(INK);
        styler.setLegendFont(text);
        styler.setLegendPosition(Styler.LegendPosition.OutsideS);
        styler.setLegendLayout(Styler.LegendLayout.Horizontal);
        styler.setLegendBorderColor(Color.WHITE);
        styler.setLegendBackgroundColor(Color.WHITE);
        styler.setLegendPadding(14);
        styler.setChartFontColor(INK);
        styler.setAxisTickLabelsColor(INK);
        styler.setChartBackgroundColor(Color.WHITE);
        styler.setPlotBackgroundColor(Color.WHITE);
        styler.setPlotBorderVisible(false);
        styler.setPlotGridVerticalLinesVisible(false);
        styler.setPlotGridLinesColor(FAINT);
        styler.setPlotGridLinesStroke(new BasicStroke(1));
        styler.setAxisTickMarksColor(FAINT);
        styler.setAxisTicksLineVisible(false);
        styler.setAxisTicksMarksVisible(false);
        styler.setPlotContentSize(1);
        styler.setPlotMargin(0);
        styler.setChartPadding(24);
        styler.setAxisTitlePadding(14);
    }
}
