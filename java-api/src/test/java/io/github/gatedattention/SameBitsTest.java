package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Results depend on the operands alone: not on threads, neighbors in the batch, or what ran before. */
class SameBitsTest {
    private static final DataType[] TYPES = {DataType.F32, DataType.BF16, DataType.F16};
    private static final int[] THREADS = {1, 2, 3, 5, 8};

    /** Prefill of ragged sizes, decode with keys split between threads, an uneven group, a window, a norm. */
    private static final List<Sample.Shape> SHAPES = List.of(
            new Sample.Shape(1, 127, 127, 4, 2, 64, 64),
            new Sample.Shape(2, 300, 300, 2, 1, 128, 128),
            new Sample.Shape(3, 33, 257, 6, 2, 40, 72),
            new Sample.Shape(1, 1, 5000, 8, 2, 64, 64),
            new Sample.Shape(4, 1, 700, 3, 3, 96, 96),
            new Sample.Shape(2, 5, 1021, 16, 1, 24, 24));

    private static final List<Setting> SETTINGS = List.of(
            Setting.causal(64).withGate(Activation.SIGMOID, Combination.MULTIPLY),
            Setting.causal(64)
                    .withMask(false, 100, 3)
                    .withHeadwiseGate(Activation.SILU)
                    .withPre(Setting.Pre.RMS_NORM, 1e-6f));

    static Stream<Target> targets() {
        return Target.all();
    }

    private static byte[] run(Sample sample, Target target, int threads) {
        sample.spoilOutputs();
        try (GatedAttention attention = sample.builder(target).threads(threads).build()) {
            attention.forward(sample.operands());
            return sample.outputBytes();
        }
    }

    @ParameterizedTest
    @MethodSource("targets")
    void anyNumberOfThreads(Target target) {
        for (Sample.Shape shape : SHAPES) {
            for (Setting setting : SETTINGS) {
                for (DataType type : TYPES) {
                    try (Arena arena = Arena.ofShared()) {
                        Sample sample = Sample.of(arena, setting, type, shape);
                        byte[] first = run(sample, target, THREADS[0]);
                        for (int threads : THREADS) {
                            assertThat(run(sample, target, threads))
                                    .as("%s %s on %s with %d threads", shape, type, target, threads)
                                    .isEqualTo(first);
                        }
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("targets")
    void withAndWithoutOthersInTheBatch(Target target) {
        for (Sample.Shape shape : SHAPES) {
            for (Setting setting : SETTINGS) {
                for (DataType type : TYPES) {
                    try (Arena arena = Arena.ofShared()) {
                        Sample together = Sample.of(arena, setting, type, shape);
                        run(together, target, 2);
                        float[] out = together.out().toFloatArray();
                        float[] lse = together.operands().lse().toFloatArray();
                        together.spoilOutputs();
                        for (int b = 0; b < shape.batch(); b++) {
                            runAlone(together, target, b);
                        }
                        String what = shape + " " + type + " on " + target;
                        assertThat(together.out().toFloatArray()).as(what).isEqualTo(out);
                        assertThat(together.operands().lse().toFloatArray())
                                .as(what)
                                .isEqualTo(lse);
                    }
                }
            }
        }
    }

    private static void runAlone(Sample together, Target target, int b) {
        Operands all = together.operands();
        Operands one = Operands.of(
                        row(all.q(), b), row(all.k(), b), row(all.v(), b), row(all.gate(), b), row(all.out(), b))
                .withLse(row(all.lse(), b))
                .withNormWeight(all.normWeight());
        try (GatedAttention attention = together.builder(target).threads(2).build()) {
            attention.forward(one);
        }
    }

    private static Tensor row(Tensor tensor, int b) {
        return tensor.slice(0, b, b + 1);
    }

    /** A sequence in a cache with room to spare gives what it gives alone, whatever lies beyond its length. */
    @ParameterizedTest
    @MethodSource("targets")
    void withAndWithoutRoomInTheCache(Target target) {
        Setting setting = Setting.causal(64).withGate(Activation.SIGMOID, Combination.MULTIPLY);
        for (DataType type : TYPES) {
            for (int queries : new int[] {1, 9}) {
                int[] lengths = {700, 33, 1};
                try (Arena arena = Arena.ofShared()) {
                    Sample sample = Sample.of(arena, setting, type, new Sample.Shape(3, queries, 700, 4, 2, 64, 64));
                    Operands all = sample.operands();
                    Sample cached = sample.with(
                            all.withKeyLengths(Tensor.copyOf(arena, DataType.I32, lengths, lengths.length)));
                    byte[] expected = run(cached, target, 2);
                    sample.spoilOutputs();
                    for (int b = 0; b < lengths.length; b++) {
                        Operands one = Operands.of(
                                        row(all.q(), b),
                                        row(all.k(), b).slice(1, 0, lengths[b]),
                                        row(all.v(), b).slice(1, 0, lengths[b]),
                                        row(all.gate(), b),
                                        row(all.out(), b))
                                .withLse(row(all.lse(), b));
                        try (GatedAttention attention = sample.builder(target).build()) {
                            attention.forward(one);
                        }
                    }
                    assertThat(sample.outputBytes())
                            .as("%s on %s", type, target)
                            .isEqualTo(expected);
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("targets")
    void runToRun(Target target) {
        for (DataType type : TYPES) {
            try (Arena arena = Arena.ofShared()) {
                Sample sample = Sample.of(arena, SETTINGS.getFirst(), type, SHAPES.getFirst());
                Sample other = Sample.of(arena, SETTINGS.getLast(), type, SHAPES.getLast());
                List<byte[]> results = new ArrayList<>();
                try (GatedAttention attention =
                                sample.builder(target).threads(3).build();
                        GatedAttention disturbance =
                                other.builder(target).threads(3).build()) {
                    PreparedForward prepared = attention.prepare(sample.operands());
                    for (int n = 0; n < 8; n++) {
                        sample.spoilOutputs();
                        if (n % 2 == 0) {
                            attention.forward(sample.operands());
                        } else {
                            prepared.run();
                        }
                        results.add(sample.outputBytes());
                        disturbance.forward(other.operands());
                    }
                }
                assertThat(results)
                        .as("%s on %s", type, target)
                        .allSatisfy(bytes -> assertThat(bytes).isEqualTo(results.getFirst()));
            }
        }
    }
}
