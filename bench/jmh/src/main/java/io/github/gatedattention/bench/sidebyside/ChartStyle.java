package io.github.gatedattention.bench.sidebyside;

import io.github.gatedattention.bench.peers.Implementation;
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

/** How all pictures of a report look. */
final class ChartStyle {
    static final int WIDTH = 1400;
    static final int HEIGHT = 740;

    private static final int CAPTION_HEIGHT = 40;
    private static final int PADDING = 22;
    private static final float CAPTION_SIZE = 15;
    private static final Color INK = new Color(0x22303a);
    private static final Color FAINT = new Color(0xe4e9ec);
    private static final Font TEXT = new Font(Font.SANS_SERIF, Font.PLAIN, 16);

    private ChartStyle() {}

    /** The same color for an implementation in every picture: teal for this library. */
    static Color color(Implementation implementation) {
        return new Color(
                switch (implementation) {
                    case GATED_ATTENTION_BF16 -> 0x0b4f59;
                    case GATED_ATTENTION_F32, PREPARED_F32, BARE_F32 -> 0x1f9aa8;
                    case VECTOR_API_F32 -> 0x7a5195;
                    case ONNX_RUNTIME_F32 -> 0xd9822b;
                    case ONNX_ATTENTION_F32 -> 0xe9b872;
                    case PYTORCH_F32 -> 0xc8433f;
                    case PYTORCH_BF16 -> 0xe08e8b;
                    case DJL_F32 -> 0x6b8e23;
                    case ND4J_F32 -> 0x4a6fa5;
                    case PLAIN_JAVA_F32 -> 0x8a9aa5;
                    // In no picture yet.
                    case GATED_ATTENTION_F16, PACKED_BF16, PACKED_F32 -> 0x15707c;
                    case INT8_BF16, PAGED_BF16, PAGED_INT8_BF16 -> 0x5fb8a5;
                });
    }

    /** The chart with a line of text below it, as a PNG. */
    static byte[] png(IChart chart, String caption) throws IOException {
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

    static void apply(AxesChartStyler styler) {
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
