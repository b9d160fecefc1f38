package io.github.gatedattention.reporting;

import java.awt.BasicStroke;
import java.awt.Color;
import java.awt.Font;
import java.awt.Graphics2D;
import java.awt.RenderingHints;
import java.awt.image.BufferedImage;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import javax.imageio.ImageIO;
import org.knowm.xchart.internal.chartpart.IChart;
import org.knowm.xchart.style.AxesChartStyler;
import org.knowm.xchart.style.Styler;

/** How all pictures of reports look. */
public final class ChartStyle {
    /** Pixels from left to right. */
    public static final int WIDTH = 1400;
    /** Pixels from top to bottom, without the caption. */
    public static final int HEIGHT = 740;

    private static final int CAPTION_HEIGHT = 40;
    private static final int PADDING = 22;
    private static final float CAPTION_SIZE = 15;
    private static final Color INK = new Color(0x22303a);
    private static final Color FAINT = new Color(0xe4e9ec);
    private static final Font TEXT = new Font(Font.SANS_SERIF, Font.PLAIN, 16);

    private ChartStyle() {}

    /**
     * {@return the chart with a line of text below it, as a PNG}
     *
     * @param chart what to draw
     * @param caption the line
     */
    public static byte[] png(IChart chart, String caption) throws IOException {
        var image = new BufferedImage(WIDTH, HEIGHT + CAPTION_HEIGHT, BufferedImage.TYPE_INT_RGB);
        Graphics2D graphics = image.createGraphics();
        graphics.setColor(Color.WHITE);
        graphics.fillRect(0, 0, image.getWidth(), image.getHeight());
        chart.paint(graphics, WIDTH, HEIGHT);
        graphics.setRenderingHint(RenderingHints.KEY_TEXT_ANTIALIASING, RenderingHints.VALUE_TEXT_ANTIALIAS_ON);
        graphics.setColor(INK);
        graphics.setFont(TEXT.deriveFont(CAPTION_SIZE));
        graphics.drawString(caption, PADDING, HEIGHT + CAPTION_HEIGHT / 3);
        graphics.dispose();
        var bytes = new ByteArrayOutputStream();
        ImageIO.write(image, "png", bytes);
        return bytes.toByteArray();
    }

    /**
     * Sets fonts, colors and margins.
     *
     * @param styler of a chart
     */
    public static void apply(AxesChartStyler styler) {
        styler.setBaseFont(TEXT);
        styler.setChartTitleFont(TEXT.deriveFont(Font.BOLD, 20f));
        styler.setChartTitleBoxVisible(false);
        styler.setChartTitlePadding(16);
        styler.setAxisTitleFont(TEXT);
        styler.setAxisTickLabelsFont(TEXT);
        styler.setLegendFont(TEXT);
        styler.setLegendPosition(Styler.LegendPosition.OutsideE);
        styler.setLegendBorderColor(Color.WHITE);
        styler.setLegendBackgroundColor(Color.WHITE);
        styler.setLegendPadding(12);
        styler.setChartFontColor(INK);
        styler.setAxisTickLabelsColor(INK);
        styler.setChartBackgroundColor(Color.WHITE);
        styler.setPlotBackgroundColor(Color.WHITE);
        styler.setPlotBorderVisible(false);
        styler.setPlotGridLinesColor(FAINT);
        styler.setPlotGridLinesStroke(new BasicStroke(1));
        styler.setAxisTickMarksColor(FAINT);
        styler.setAxisTicksLineVisible(false);
        styler.setAxisTicksMarksVisible(false);
        styler.setPlotMargin(0);
        styler.setChartPadding(PADDING);
        styler.setAxisTitlePadding(12);
    }
}
