package io.github.gatedattention.bench.sidebyside;

import io.github.gatedattention.bench.peers.Implementation;
import io.github.gatedattention.reporting.ChartStyle;
import java.awt.BasicStroke;
import java.util.List;
import java.util.Locale;
import java.util.Objects;
import java.util.SortedMap;
import java.util.TreeMap;
import org.knowm.xchart.XYChart;
import org.knowm.xchart.XYChartBuilder;
import org.knowm.xchart.XYSeries;
import org.knowm.xchart.style.XYStyler;
import org.knowm.xchart.style.markers.SeriesMarkers;

/** Times over a size, both logarithmic: one line per implementation, the slowest first in the legend, as on the right. */
final class LineChart {
    private static final float LIBRARY_WIDTH = 4;
    private static final float PEER_WIDTH = 2;
    private static final int MARKER = 8;
    private static final int TICK_SPACING = 60; // pixels: at most what one power of two takes

    private LineChart() {}

    /**
     * One line.
     *
     * @param implementation whose
     * @param millis milliseconds by size
     */
    record Line(Implementation implementation, SortedMap<Integer, Double> millis) {
        double last() {
            return Objects.requireNonNull(millis.get(millis.lastKey()));
        }
    }

    /** The chart; {@code xTitle} names the sizes. */
    static XYChart of(String title, String xTitle, List<Line> lines) {
        XYChart chart = new XYChartBuilder()
                .width(ChartStyle.WIDTH)
                .height(ChartStyle.HEIGHT)
                .title(title)
                .xAxisTitle(xTitle)
                .yAxisTitle("milliseconds per call, logarithmic")
                .build();
        XYStyler styler = chart.getStyler();
        ChartStyle.apply(styler);
        styler.setYAxisLogarithmic(true);
        styler.setYAxisLogarithmicDecadeOnly(true);
        styler.setYAxisTickLabelsFormattingFunction(LineChart::number);
        styler.setMarkerSize(MARKER);
        double[] all = lines.stream()
                .flatMap(line -> line.millis().values().stream())
                .mapToDouble(Double::doubleValue)
                .toArray();
        styler.setYAxisMin(Math.pow(10, Math.floor(Math.log10(Statistics.percentile(all, 0)))));
        styler.setYAxisMax(Math.pow(10, Math.ceil(Math.log10(Statistics.percentile(all, 100)))));
        sizes(styler, lines);
        lines.stream()
                .sorted((a, b) -> Double.compare(place(b, lines), place(a, lines)))
                .forEach(line -> add(chart, line, lines));
        return chart;
    }

    /** Sizes are powers of two: their logarithms are evenly spaced whole numbers, and only those get a label. */
    private static void sizes(XYStyler styler, List<Line> lines) {
        var sizes = new TreeMap<Double, Integer>();
        lines.forEach(line -> line.millis().keySet().forEach(size -> sizes.put(log2(size), size)));
        styler.setXAxisMin(sizes.firstKey() - 0.3);
        styler.setXAxisMax(sizes.lastKey() + 0.3);
        styler.setXAxisTickMarkSpacingHint(TICK_SPACING);
        styler.setXAxisTickLabelsFormattingFunction(x -> size(x, sizes.firstKey()));
    }

    /** Between powers of two a blank, none like another: XChart leaves out all labels when two are the same. */
    private static String size(double log2, double first) {
        boolean whole = Math.abs(log2 - Math.rint(log2)) < 1e-6;
        return whole
                ? String.format(Locale.ROOT, "%,.0f", Math.pow(2, log2))
                : " ".repeat(1 + (int) Math.max(0, 10 * (1 + log2 - first)));
    }

    private static double log2(int size) {
        return Math.log(size) / Math.log(2);
    }

    private static String number(double value) {
        return value < 1 ? Double.toString(value) : String.format(Locale.ROOT, "%,.0f", value);
    }

    private static void add(XYChart chart, Line line, List<Line> all) {
        double[] x =
                line.millis().keySet().stream().mapToDouble(LineChart::log2).toArray();
        double[] y =
                line.millis().values().stream().mapToDouble(Double::doubleValue).toArray();
        XYSeries series = chart.addSeries(legend(line, all), x, y);
        boolean library = line.implementation().isLibrary();
        series.setLineColor(ImplementationColor.of(line.implementation()));
        series.setMarkerColor(ImplementationColor.of(line.implementation()));
        series.setMarker(library ? SeriesMarkers.DIAMOND : SeriesMarkers.CIRCLE);
        series.setLineStyle(
                new BasicStroke(library ? LIBRARY_WIDTH : PEER_WIDTH, BasicStroke.CAP_ROUND, BasicStroke.JOIN_ROUND));
    }

    /** Where it would stand at the largest size: in proportion to the fastest at the last size that it has. */
    private static double place(Line line, List<Line> all) {
        return line.last() / fastest(all).millis().getOrDefault(line.millis().lastKey(), 1.0);
    }

    private static Line fastest(List<Line> all) {
        return all.stream()
                .filter(line -> line.implementation().isLibrary())
                .min((a, b) -> Double.compare(a.last(), b.last()))
                .orElse(all.getFirst());
    }

    /** Without the type where all have the same. */
    private static String name(Implementation implementation, List<Line> all) {
        boolean same = all.stream()
                        .map(line -> line.implementation().precision())
                        .distinct()
                        .count()
                == 1;
        String title = implementation.title();
        return same ? title.substring(0, title.lastIndexOf(',')) : title;
    }

    /** The name, and how many times the fastest line's time it takes at the largest size that both have. */
    private static String legend(Line line, List<Line> all) {
        String name = name(line.implementation(), all);
        Line fastest = fastest(all);
        int size = line.millis().lastKey();
        Double least = fastest.millis().get(size);
        if (line.equals(fastest) || least == null) {
            return name;
        }
        double factor = line.last() / least;
        return String.format(Locale.ROOT, factor < 10 ? "%s: %.1f× at %,d" : "%s: %.0f× at %,d", name, factor, size);
    }
}
