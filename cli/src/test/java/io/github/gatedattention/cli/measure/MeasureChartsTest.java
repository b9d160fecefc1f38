package io.github.gatedattention.cli.measure;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.Activation;
import io.github.gatedattention.AttentionProbe;
import io.github.gatedattention.AttentionStatistics;
import io.github.gatedattention.DataType;
import io.github.gatedattention.Gate;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Mask;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.ValueProbe;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.Test;

class MeasureChartsTest {

    @Test
    void drawsWhatWasMeasured() throws IOException {
        try (Arena arena = Arena.ofShared();
                GatedAttention attention = GatedAttention.builder()
                        .queryHeads(2)
                        .headDim(16)
                        .gate(Gate.none())
                        .mask(Mask.causal())
                        .build()) {
            Operands operands = Operands.of(
                            random(arena, 1, 50, 2, 16),
                            random(arena, 1, 50, 2, 16),
                            random(arena, 1, 50, 2, 16),
                            null,
                            Tensor.allocate(arena, DataType.F32, 1, 50, 2, 16))
                    .withLse(Tensor.allocate(arena, DataType.F32, 1, 2, 50));
            attention.forward(operands);
            AttentionStatistics statistics =
                    attention.measure(operands, AttentionProbe.firstToken().withMap(20));
            BufferedImage map = image(MeasureCharts.map(
                    "map", statistics.sequences().getFirst().heads().getFirst().map()));
            // Causal: the upper right is empty, the lower left is not.
            assertThat(map.getRGB(map.getWidth() * 3 / 5, map.getHeight() / 4)).isEqualTo(-1);
            assertThat(map.getRGB(map.getWidth() / 5, map.getHeight() * 3 / 4)).isNotEqualTo(-1);
            BufferedImage layers =
                    image(MeasureCharts.firstToken("F-Attn", List.of(statistics, statistics, statistics)));
            assertThat(colors(layers)).isGreaterThan(3);
            ValueProbe probe = ValueProbe.gate(Activation.SIGMOID);
            BufferedImage histogram = image(MeasureCharts.histogram(
                    "gate", probe, attention.measure(operands.q(), probe).all()));
            assertThat(colors(histogram)).isGreaterThan(3);
        }
    }

    private static Tensor random(Arena arena, long... shape) {
        Random random = new Random(3);
        float[] values = new float[(int) (shape[0] * shape[1] * shape[2] * shape[3])];
        for (int n = 0; n < values.length; n++) {
            values[n] = (float) random.nextGaussian();
        }
        return Tensor.copyOf(arena, DataType.F32, values, shape);
    }

    private static BufferedImage image(byte[] png) throws IOException {
        return ImageIO.read(new ByteArrayInputStream(png));
    }

    private static long colors(BufferedImage image) {
        return Arrays.stream(image.getRGB(0, 0, image.getWidth(), image.getHeight(), null, 0, image.getWidth()))
                .distinct()
                .count();
    }
}
