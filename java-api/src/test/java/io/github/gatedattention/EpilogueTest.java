package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import io.github.gatedattention.reference.Activations;
import io.github.gatedattention.reference.Floats;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.Random;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What may follow the output projection, against plain float64, forward and backward. */
class EpilogueTest {
    private static final int WIDTH = 40;

    static Stream<Target> targets() {
        return Target.all();
    }

    static Stream<Target> backends() {
        return Target.backends();
    }

    private static AttentionEpilogue epilogue(Target target, DataType type, @Nullable Activation gate) {
        return AttentionEpilogue.builder()
                .width(WIDTH)
                .dataType(type)
                .gate(gate)
                .backend(target.backend())
                .maxInstructionSet(target.instructionSet())
                .threads(2)
                .build();
    }

    private static Tensor normal(Arena arena, DataType type, long seed, long... shape) {
        Random random = new Random(seed);
        Tensor tensor = Tensor.allocate(arena, type, shape);
        for (long n = 0; n < tensor.segment().byteSize() / type.byteSize(); n++) {
            Floats.put(tensor.segment(), type, n, random.nextGaussian());
        }
        return tensor;
    }

    private static float at(Tensor tensor, long b, long s, long d) {
        return tensor.getFloat(tensor.dim(0) == 1 ? 0 : b, tensor.dim(1) == 1 ? 0 : s, tensor.dim(2) == 1 ? 0 : d);
    }

    @ParameterizedTest
    @MethodSource("targets")
    void agreesWithFloat64(Target target) {
        for (DataType type : new DataType[] {DataType.F32, DataType.BF16, DataType.F16}) {
            for (Activation activation : Activation.values()) {
                for (long[] shape : new long[][] {{2, 9, WIDTH}, {1, 9, 1}, {1, 1, WIDTH}, {2, 1, 1}}) {
                    try (Arena arena = Arena.ofShared();
                            AttentionEpilogue epilogue = epilogue(target, type, activation)) {
                        Tensor in = normal(arena, type, 1, 2, 9, WIDTH);
                        Tensor gate = normal(arena, DataType.F32, 2, shape);
                        Tensor residual = normal(arena, DataType.F32, 3, 2, 9, WIDTH);
                        Tensor out = Tensor.allocate(arena, type, 2, 9, WIDTH);
                        epilogue.run(in, gate, residual, out);
                        Tensor dOut = normal(arena, type, 4, 2, 9, WIDTH);
                        Tensor dIn = Tensor.allocate(arena, DataType.F32, 2, 9, WIDTH);
                        Tensor dGate = Tensor.allocate(arena, DataType.F32, shape);
                        epilogue.backward(in, gate, dOut, dIn, dGate);
                        compare(type, activation, in, gate, residual, out, dOut, dIn, dGate);
                    }
                }
            }
        }
    }

    private static void compare(
            DataType type,
            Activation activation,
            Tensor in,
            Tensor gate,
            Tensor residual,
            Tensor out,
            Tensor dOut,
            Tensor dIn,
            Tensor dGate) {
        double[][][] sums = new double[(int) gate.dim(0)][(int) gate.dim(1)][(int) gate.dim(2)];
        double error = type == DataType.F32 ? 1e-6 : Floats.roundoff(type) + 2e-4;
        for (int b = 0; b < 2; b++) {
            for (int s = 0; s < 9; s++) {
                for (int d = 0; d < WIDTH; d++) {
                    double score = at(gate, b, s, d);
                    double a = Activations.apply(activation, score);
                    double x = at(in, b, s, d);
                    double y = x * a + at(residual, b, s, d);
                    assertThat((double) at(out, b, s, d))
                            .isCloseTo(y, offset(error * (1 + Math.abs(y) + Math.abs(x * a))));
                    double dy = at(dOut, b, s, d);
                    assertThat((double) at(dIn, b, s, d)).isCloseTo(dy * a, offset(2e-6 * (1 + Math.abs(dy * a))));
                    double slope =
                            (Activations.apply(activation, score + 1e-5) - Activations.apply(activation, score - 1e-5))
                                    / 2e-5;
                    sums[sums.length == 1 ? 0 : b][sums[0].length == 1 ? 0 : s][sums[0][0].length == 1 ? 0 : d] +=
                            dy * x * slope;
                }
            }
        }
        for (int b = 0; b < sums.length; b++) {
            for (int s = 0; s < sums[b].length; s++) {
                for (int d = 0; d < sums[b][s].length; d++) {
                    assertThat((double) dGate.getFloat(b, s, d))
                            .as("%s %s", type, activation)
                            .isCloseTo(sums[b][s][d], offset(3e-5 * (1 + Math.abs(sums[b][s][d]))));
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void inPlaceIsTheSame(Target target) {
        try (Arena arena = Arena.ofShared();
                AttentionEpilogue epilogue = epilogue(target, DataType.F32, Activation.SIGMOID)) {
            Tensor in = normal(arena, DataType.F32, 1, 2, 9, WIDTH);
            Tensor gate = normal(arena, DataType.F32, 2, 2, 9, WIDTH);
            Tensor residual = normal(arena, DataType.F32, 3, 2, 9, WIDTH);
            Tensor out = Tensor.allocate(arena, DataType.F32, 2, 9, WIDTH);
            epilogue.run(in, gate, residual, out);
            for (Tensor over : new Tensor[] {in, gate, residual}) {
                Tensor before = Tensor.allocate(arena, DataType.F32, 2, 9, WIDTH);
                before.copyFrom(over);
                epilogue.run(in, gate, residual, over);
                assertThat(over.toFloatArray()).isEqualTo(out.toFloatArray());
                over.copyFrom(before);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void refusesWhatDoesNotFit(Target target) {
        try (Arena arena = Arena.ofShared();
                AttentionEpilogue epilogue = epilogue(target, DataType.F32, Activation.SIGMOID);
                AttentionEpilogue plain = epilogue(target, DataType.F32, null)) {
            Tensor in = normal(arena, DataType.F32, 1, 2, 9, WIDTH);
            Tensor gate = normal(arena, DataType.F32, 2, 2, 9, WIDTH);
            Tensor out = Tensor.allocate(arena, DataType.F32, 2, 9, WIDTH);
            refused(() -> epilogue.run(in, null, null, out), "gate is null", "with one");
            refused(() -> plain.run(in, gate, null, out), "gate is a", "with none");
            refused(() -> epilogue.run(in.slice(2, 0, 32), gate, null, out), "in has 32 elements", "40");
            refused(() -> epilogue.run(in, gate.slice(1, 0, 3), null, out), "gate has 3 tokens", "9");
            refused(() -> epilogue.run(in, gate, null, out.slice(1, 0, 3)), "out has 3 tokens", "9");
            refused(() -> epilogue.run(in, gate, out.slice(0, 0, 1), out), "residual has 1 sequences", "2");
            refused(
                    () -> epilogue.run(in, gate, null, Tensor.allocate(arena, DataType.F16, 2, 9, WIDTH)),
                    "out is F16");
            Tensor both = Tensor.allocate(arena, DataType.F32, 2, 10, WIDTH);
            refused(() -> epilogue.run(both.slice(1, 0, 9), gate, null, both.slice(1, 1, 10)), "out", "overlaps in");
            refused(() -> epilogue.backward(in, gate, out, in, null), "dIn", "overlaps in");
            refused(() -> plain.backward(in, null, out, null, gate), "dGate is a", "gate is null");
            refused(() -> epilogue.backward(in, gate, out, null, out), "dGate", "overlaps dOut");
            refused(
                    () -> epilogue.backward(in, gate.slice(0, 0, 1).expand(0, 2), out, null, gate),
                    "gate repeats its element on axis 0");
            assertThat(out.getFloat(0, 0, 0)).isZero();
            epilogue.close();
            assertThatThrownBy(() -> epilogue.run(in, gate, null, out)).isInstanceOf(IllegalStateException.class);
            assertThatThrownBy(() -> AttentionEpilogue.builder().width(12).build())
                    .hasMessageContaining("width is 12");
            assertThatThrownBy(() ->
                            AttentionEpilogue.builder().width(8).threads(0).build())
                    .hasMessageContaining("threads is 0");
        }
    }

    private static void refused(ThrowingCallable call, String... words) {
        assertThatThrownBy(call).isInstanceOf(IllegalArgumentException.class).hasMessageContainingAll(words);
    }
}
