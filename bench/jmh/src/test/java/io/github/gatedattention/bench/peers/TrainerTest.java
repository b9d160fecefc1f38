package io.github.gatedattention.bench.peers;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.bench.Inputs;
import io.github.gatedattention.bench.Precision;
import io.github.gatedattention.bench.TrainingExpected;
import io.github.gatedattention.bench.Workload;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every implementation computes the same gradients. */
class TrainerTest {
    /** Of this library alone: autograd takes seconds where OpenBLAS was not told how many threads to use. */
    private static final List<Workload> LONGER = List.of(Workload.S1024_HEADWISE, Workload.S1024_UNGATED);

    static Stream<Trainer.Kind> present() {
        return Stream.of(Trainer.Kind.values())
                .filter(kind -> ImplementationTest.present().contains(kind.implementation()));
    }

    @ParameterizedTest
    @MethodSource("present")
    void agreesWithFloat64(Trainer.Kind kind) throws Exception {
        agrees(kind, Workload.S128);
        for (Workload workload : kind.implementation().isLibrary() ? LONGER : List.<Workload>of()) {
            agrees(kind, workload);
        }
    }

    private static void agrees(Trainer.Kind kind, Workload workload) throws Exception {
        Inputs inputs = Inputs.of(workload, kind.precision());
        TrainingExpected expected = TrainingExpected.of(inputs);
        try (Trainer trainer = kind.create(inputs, expected.dOut(), 2)) {
            trainer.step();
            trainer.step();
            assertThat(expected.worstError(trainer.gradients()))
                    .as("%s of %s", workload, kind)
                    .isLessThan(kind.precision() == Precision.F32 ? 1e-5 : 2e-2);
        }
    }
}
