package io.github.gatedattention.train;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assertions.within;

import io.github.gatedattention.Tensor;
import io.github.gatedattention.cli.InputException;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TrainerTest {
    private static final Corpus TEXT = Corpus.generated();

    @ParameterizedTest
    @EnumSource
    void learns(GateKind gate) {
        try (Trainer trainer = new Trainer(settings(gate, 60, 1), TEXT)) {
            double before = trainer.validationLoss();
            assertThat(before).isCloseTo(Math.log(256), within(0.1));
            run(trainer, 60);
            assertThat(trainer.validationLoss()).isLessThan(TEXT.entropyOfBytes());
            ModelMeasures measures = trainer.measure();
            assertThat(measures.firstToken()).isBetween(0.0, 1.0);
            assertThat(measures.largest()).isPositive();
            if (gate == GateKind.NONE) {
                assertThat(measures.gate()).isNaN();
            } else {
                assertThat(measures.gate()).isBetween(gate == GateKind.NS_SIGMOID ? 0.5 : 0.0, 1.0);
            }
        }
    }

    @ParameterizedTest
    @EnumSource
    void aRunThatWasInterruptedHasTheBitsOfOneThatWasNot(GateKind gate, @TempDir Path directory) {
        Path file = directory.resolve("checkpoint.safetensors");
        try (Trainer whole = new Trainer(settings(gate, 6, 1), TEXT);
                Trainer first = new Trainer(settings(gate, 6, 1), TEXT)) {
            run(whole, 6);
            run(first, 3);
            first.validationLoss(); // looking changes nothing
            Checkpoint.write(file, first);
            try (Trainer second = Checkpoint.read(file, TEXT)) {
                assertThat(second.step()).isEqualTo(3);
                assertThat(second.settings()).isEqualTo(whole.settings());
                run(second, 6);
                assertThat(bits(second)).isEqualTo(bits(whole));
            }
        }
    }

    @Test
    void theSeedDecidesTheBits() {
        try (Trainer one = new Trainer(settings(GateKind.ELEMENTWISE, 3, 1), TEXT);
                Trainer same = new Trainer(settings(GateKind.ELEMENTWISE, 3, 1), TEXT);
                Trainer other = new Trainer(settings(GateKind.ELEMENTWISE, 3, 2), TEXT)) {
            run(one, 3);
            run(same, 3);
            run(other, 3);
            assertThat(bits(same)).isEqualTo(bits(one));
            assertThat(bits(other)).isNotEqualTo(bits(one));
        }
    }

    @Test
    void modelsOfOneSeedShareWhatTheyHaveInCommon() {
        try (LanguageModel gated =
                        new LanguageModel(settings(GateKind.HEADWISE, 1, 1).shape(), 1, 1);
                LanguageModel baseline =
                        new LanguageModel(settings(GateKind.NONE, 1, 1).shape(), 1, 1)) {
            assertThat(value(gated, "layers.1.attention.k.weight"))
                    .isEqualTo(value(baseline, "layers.1.attention.k.weight"));
            // Heads of 8 rows of query and 1 of gate, beside heads of 8 rows.
            float[] packed = value(gated, "layers.0.attention.q_gate.weight");
            float[] query = value(baseline, "layers.0.attention.q_gate.weight");
            assertThat(packed[9 * 32 + 5]).isEqualTo(query[8 * 32 + 5]);
        }
    }

    @Test
    void theLearningRateRisesAndFalls() {
        TrainingSettings settings = settings(GateKind.NONE, 100, 1);
        assertThat(settings.learningRate(1)).isEqualTo(0.0005);
        assertThat(settings.learningRate(20)).isEqualTo(0.01);
        assertThat(settings.learningRate(60)).isCloseTo(0.0055, within(1e-12));
        assertThat(settings.learningRate(100)).isCloseTo(0.001, within(1e-12));
    }

    @Test
    void anotherTextOrFileIsRefused(@TempDir Path directory) throws Exception {
        Path file = directory.resolve("checkpoint.safetensors");
        try (Trainer trainer = new Trainer(settings(GateKind.NONE, 2, 1), TEXT)) {
            Checkpoint.write(file, trainer);
        }
        Corpus other = new Corpus("other.txt", "to be or not to be ".repeat(100).getBytes(StandardCharsets.US_ASCII));
        assertThatThrownBy(() -> Checkpoint.read(file, other))
                .isInstanceOf(InputException.class)
                .hasMessage(file + ": the run learned from another text than other.txt, give the same --text to"
                        + " continue it");
        Path broken = directory.resolve("broken.safetensors");
        Files.write(broken, new byte[] {1, 2, 3});
        assertThatThrownBy(() -> Checkpoint.read(broken, TEXT))
                .isInstanceOf(InputException.class)
                .hasMessageContaining("broken.safetensors");
    }

    @Test
    void theGeneratedTextIsTheSameEverywhere() {
        assertThat(TEXT.bytes()).hasSize(2 << 20);
        assertThat(TEXT.sha256()).isEqualTo("5aba2538c8c05758b76054849e85ef33c74e3d8ab9f2cc6dfcbe0d3ae2919057");
        assertThat(new Corpus("again", GeneratedText.bytes()).sha256()).isEqualTo(TEXT.sha256());
    }

    private static TrainingSettings settings(GateKind gate, int steps, long seed) {
        ModelShape shape = ModelShape.ofBytes(gate, 2, 32, 4, 2, 8, 32, false);
        return new TrainingSettings(shape, 4, steps, 0.01, 20, 0.1, 1, seed);
    }

    private static void run(Trainer trainer, int last) {
        while (trainer.step() < last) {
            assertThat(trainer.next().isFinite()).isTrue();
        }
    }

    private static Map<String, List<Integer>> bits(Trainer trainer) {
        Map<String, List<Integer>> bits = new HashMap<>();
        for (Parameter parameter : trainer.model().parameters()) {
            bits.put(parameter.name(), bits(parameter.value()));
            bits.put(parameter.name() + " first", bits(parameter.first()));
            bits.put(parameter.name() + " second", bits(parameter.second()));
        }
        return bits;
    }

    private static List<Integer> bits(Tensor tensor) {
        return Arrays.stream(tensor.segment().toArray(ValueLayout.JAVA_INT))
                .boxed()
                .toList();
    }

    private static float[] value(LanguageModel model, String name) {
        return model.parameters().stream()
                .filter(parameter -> parameter.name().equals(name))
                .findFirst()
                .orElseThrow()
                .value()
                .toFloatArray();
    }
}
