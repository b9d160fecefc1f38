package io.github.gatedattention.cli.demo;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.Backend;
import io.github.gatedattention.DataType;
import io.github.gatedattention.cli.Backends;
import io.github.gatedattention.cli.Outcome;
import java.awt.image.BufferedImage;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.nio.file.Path;
import java.util.List;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class DemoTest {
    @BeforeAll
    static void noScreen() {
        System.setProperty("java.awt.headless", "true");
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16", "F16"})
    void officialVectorAgreesOnEveryBackend(DataType type) {
        double unit = switch (type) {
            case F32 -> 1e-6;
            case F16 -> 2e-3;
            default -> 2e-2;
        };
        for (Backend backend :
                Backends.all().stream().filter(Backend::isAvailable).toList()) {
            OfficialVector.Result result = OfficialVector.compare(type, backend, 2);
            assertThat(result.accuracy().isRight())
                    .as("%s, %s", backend, result)
                    .isTrue();
            assertThat(result.toOfficial()).as("%s, %s", backend, result).isBetween(0.0, unit);
            assertThat(result.lseToOfficial()).as("%s, %s", backend, result).isBetween(0.0, unit);
            assertThat(result.ofInputs())
                    .as("%s, %s", backend, result)
                    .isPositive()
                    .isLessThan(unit);
        }
    }

    @Test
    void aWrongElementIsNoticed() {
        int dim = 8;
        var problem = new Problem(1, 1, dim, 1, 2, ones(dim), ones(2 * dim), ones(2 * dim), new float[dim]);
        float[] out = new float[dim];
        java.util.Arrays.fill(out, 0.5f); // values of 1, gate sigmoid(0)
        assertThat(problem.accuracy(out, DataType.F32, 1).isRight()).isTrue();
        out[3] += 1e-4f;
        assertThat(problem.accuracy(out, DataType.F32, 1).isRight()).isFalse();
        out[3] = Float.NaN;
        assertThat(problem.accuracy(out, DataType.BF16, 1).isRight()).isFalse();
    }

    private static float[] ones(int count) {
        float[] ones = new float[count];
        java.util.Arrays.fill(ones, 1);
        return ones;
    }

    /** The layer's two phases on views of packed projections, against float64. */
    @Test
    void layerIsRightOnTheBestBackend() {
        try (var layer = new Layer(Backends.best(), 2)) {
            layer.decode();
            assertThat(layer.decodeProblem(Layer.PROMPT + Layer.STEPS)
                            .accuracy(layer.decodeOut(), DataType.BF16, 1)
                            .isRight())
                    .isTrue();
            assertThat(layer.decodePlan().bytes()).isPositive();
            assertThat(layer.prefillPlan().flop()).isEqualTo(2L * (256 + 256) * 16 * 1024 * 1025 / 2);
        }
    }

    @Test
    void pictureIsAPng() throws IOException {
        byte[] png = ComparisonChart.png(
                "test machine", List.of(new Contestant("one", 0.02, 5e-5, 1e-3), new Contestant("two", 3, 4e-3, 1e-7)));
        BufferedImage image = ImageIO.read(new ByteArrayInputStream(png));
        assertThat(image.getWidth()).isGreaterThan(800);
        assertThat(image.getHeight()).isGreaterThan(500);
    }

    @Test
    void numbersHaveThreeSignificantDigits() {
        assertThat(List.of(0.0641234, 1.0, 21.34, 999.6, 12345.6).stream().map(Numbers::significant))
                .containsExactly("0.0641", "1.00", "21.3", "1,000", "12,346");
        assertThat(Numbers.ratio(4.52)).isEqualTo("4.5x");
        assertThat(Numbers.ratio(137.2)).isEqualTo("137x");
    }

    @Test
    void aPlaceThatCannotBeWrittenIsRefusedBeforeTheWork(@TempDir Path directory) {
        Outcome.of("demo", "--out", directory).refused("--out " + directory + " cannot be written: it is a directory");
        Path nowhere = directory.resolve("no/where.png");
        Outcome.of("demo", "--out", nowhere)
                .refused("--out " + nowhere + " cannot be written: " + nowhere.getParent()
                        + " is no directory that can be written to");
        Outcome.of("demo", "--out", "").refused("--out is the empty string, a path is expected");
    }
}
