package io.github.gatedattention.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import java.io.ByteArrayInputStream;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.stream.Collectors;
import javax.imageio.ImageIO;
import org.junit.jupiter.api.BeforeAll;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ExperimentTest {
    private static final Corpus TEXT = Corpus.generated();
    private static final Experiment EXPERIMENT = new Experiment(100, 8, 2, 20);
    private static final ExperimentResults RESULTS = results();

    @BeforeAll
    static void withoutADisplay() {
        System.setProperty("java.awt.headless", "true");
    }

    @Test
    void aRunIsLookedAtOnItsWay() {
        List<TrainingSettings> about = new ArrayList<>();
        List<RunResult> done = new ArrayList<>();
        RunResult run = Experiment.run(tiny(0.01), 3, TEXT, about::add, done::add);
        assertThat(about).containsExactly(tiny(0.01));
        assertThat(done).containsExactly(run);
        assertThat(run.finite()).isTrue();
        assertThat(run.curve()).extracting(RunResult.Point::step).containsExactly(3, 6, 9);
        assertThat(run.curve()).allSatisfy(point -> {
            assertThat(point.loss()).isBetween(1.0, 7.0);
            assertThat(point.validation()).isBetween(1.0, 7.0);
            assertThat(point.measures().layers()).hasSize(1);
        });
        assertThat(run.tokensPerSecond()).isPositive();
    }

    @Test
    void aRunThatIsNotFiniteEnds() {
        RunResult run = Experiment.run(tiny(1e30), 9, TEXT, about -> {}, done -> {});
        assertThat(run.finite()).isFalse();
        assertThat(run.last().step()).isLessThan(9);
        assertThat(run.failed(3)).isTrue();
    }

    @Test
    void everyGateHasAboutAsManyWeights() {
        Set<Long> weights = new TreeSet<>();
        for (GateKind gate : GateKind.values()) {
            try (LanguageModel model =
                    new LanguageModel(EXPERIMENT.settings(gate, 1, 1, 1).shape(), 1, 1)) {
                weights.add(model.size());
            }
        }
        assertThat(weights).allSatisfy(size -> assertThat((double) size).isCloseTo(788_000, within(8_000.0)));
    }

    @Test
    void failureIsFoundByTheLoss() {
        assertThat(RESULTS.firstFailure(GateKind.NONE)).hasValue(0.04);
        assertThat(RESULTS.firstFailure(GateKind.ELEMENTWISE)).hasValue(0.16);
        assertThat(RESULTS.firstFailure(GateKind.HEADWISE)).isEmpty();
        assertThat(RESULTS.uniformFirstToken()).isCloseTo(0.0239, within(1e-4));
    }

    @Test
    void theTextHasTheFiguresBesideThePapers() {
        String text = ReproduceMarkdown.text(RESULTS, "a machine", "2026-01-01", 77);
        assertThat(text)
                .contains("on 2026-01-01; a machine; 77 s for 45 runs")
                .contains(
                        "| none | 0.003 | 2.050 | 2.000, 2.100 | 0.250 | – | 40.0 | 6.026 (baseline) | 0.467 | – | 1053 |")
                .contains(
                        "| elementwise | 0.003 | 2.050 | 2.000, 2.100 | 0.250 | 0.500 | 40.0 | 5.761 (T1.5) | 0.048 |")
                .contains("| none | 2.000 | 2.000 | **3.000** | **3.000** | **not finite** | 0.04 |")
                .contains("| headwise | 2.000 | 2.000 | 2.000 | 2.000 | 2.000 | none of these |")
                .contains("100 steps (204,800 tokens), text: generated")
                .contains("What this can show, and what it cannot");
        assertThat(text.lines().filter(line -> line.startsWith("| "))).hasSize(2 + 10 + 2 + 5);
    }

    @Test
    void theJsonHasEveryRun() {
        String json = ReproduceJson.text(RESULTS, "a machine", "2026-01-01", 77);
        assertThat(json.lines().filter(line -> line.contains("\"gate\":\""))).hasSize(45);
        assertThat(json).contains("\"mean_gate\":null", "\"first_token\":0.25", "\"finite\":false");
    }

    @ParameterizedTest
    @EnumSource
    void picturesAreDrawn(ReproducePicture picture) throws Exception {
        var image = ImageIO.read(new ByteArrayInputStream(picture.png(RESULTS, "a machine")));
        assertThat(image.getWidth()).isGreaterThan(1000);
        int[] pixels = image.getRGB(0, 0, image.getWidth(), image.getHeight(), null, 0, image.getWidth());
        Set<Integer> colors =
                Arrays.stream(pixels).map(pixel -> pixel & 0xffffff).boxed().collect(Collectors.toSet());
        assertThat(colors).contains(0x8a9aa5, 0x0b4f59, 0xd9822b); // none, element-wise, NS-sigmoid
    }

    private static TrainingSettings tiny(double rate) {
        ModelShape shape = ModelShape.ofBytes(GateKind.ELEMENTWISE, 1, 16, 2, 1, 8, 16, false);
        return new TrainingSettings(shape, 2, 9, rate, 0, 0, 1, 1);
    }

    /** Losses of 2 and 2.1; at rising rates none fails from 0.04 and ends without a number, element-wise fails at 0.16. */
    private static ExperimentResults results() {
        List<RunResult> table = new ArrayList<>();
        List<RunResult> rising = new ArrayList<>();
        for (GateKind gate : Experiment.GATES) {
            for (double rate : Experiment.RATES) {
                for (int seed = 1; seed <= 2; seed++) {
                    table.add(result(EXPERIMENT.settings(gate, 100, rate, seed), 1.9 + 0.1 * seed, true));
                }
            }
            for (double rate : Experiment.RISING) {
                boolean failed = gate == GateKind.NONE && rate >= 0.04 || gate == GateKind.ELEMENTWISE && rate > 0.1;
                boolean finite = gate != GateKind.NONE || rate < 0.1;
                rising.add(result(EXPERIMENT.settings(gate, 20, rate, 1), failed ? 3 : 2, finite));
            }
        }
        return new ExperimentResults(EXPERIMENT, "generated", 3.04, table, rising);
    }

    private static RunResult result(TrainingSettings settings, double loss, boolean finite) {
        double gate = settings.shape().gate() == GateKind.NONE ? Double.NaN : 0.5;
        var measures = new ModelMeasures(
                List.of(new ModelMeasures.OfLayer(0.2, gate, 30), new ModelMeasures.OfLayer(0.3, gate, 50)));
        return new RunResult(
                settings,
                780_000,
                finite,
                List.of(
                        new RunResult.Point(50, loss + 1, loss + 0.5, measures),
                        new RunResult.Point(100, loss + 0.2, loss, measures)),
                1000);
    }
}
