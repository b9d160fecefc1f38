package io.github.gatedattention.bench.sidebyside;

import io.github.gatedattention.reporting.ChartStyle;
import java.awt.Color;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import org.knowm.xchart.HorizontalBarChart;
import org.knowm.xchart.HorizontalBarChartBuilder;
import org.knowm.xchart.style.HorizontalBarStyler;

/** Horizontal bars in groups: the names of implementations are long. */
final class BarChart {
    private static final double SPACE = 0.75;
    private static final int NAME_HEIGHT = 40; // pixels
    private static final List<Color> COLORS = List.of(
            new Color(0xb9c4cb), new Color(0x6fb7c0), new Color(0x1f9aa8), new Color(0x0b4f59), new Color(0x7a5195));

    private final Map<String, Map<String, Double>> bars = new LinkedHashMap<>();
    private final Set<String> groups = new LinkedHashSet<>();

    /** One bar of a series, in the group of the given name. */
    void add(String series, String group, double value) {
        bars.computeIfAbsent(series, name -> new LinkedHashMap<>()).put(group, value);
        groups.add(group);
    }

    boolean isEmpty() {
        return bars.isEmpty();
    }

    /** The chart. A group that lacks a series gets a bar of no length. */
    HorizontalBarChart chart(String title, String xTitle, String decimals) {
        HorizontalBarChart chart = new HorizontalBarChartBuilder()
                .width(ChartStyle.WIDTH)
                .height(ChartStyle.HEIGHT)
                .title(title)
                .xAxisTitle(xTitle)
                .yAxisTitle("")
                .build();
        HorizontalBarStyler styler = chart.getStyler();
        ChartStyle.apply(styler);
        styler.setAvailableSpaceFill(SPACE);
        styler.setSeriesColors(COLORS.toArray(Color[]::new));
        styler.setLabelsVisible(true);
        styler.setDecimalPattern(decimals);
        styler.setLabelsFontColorAutomaticEnabled(true);
        styler.setLabelsFont(styler.getAxisTickLabelsFont());
        styler.setPlotGridHorizontalLinesVisible(false);
        styler.setXAxisTickMarkSpacingHint(NAME_HEIGHT); // of the groups, too: each has its name
        List<String> names = List.copyOf(groups);
        bars.forEach((series, values) -> {
            List<Double> lengths = new ArrayList<>();
            names.forEach(name -> lengths.add(values.getOrDefault(name, 0.0)));
            chart.addSeries(series, lengths, names);
        });
        return chart;
    }
}
