package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.data.Offset.offset;

import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.RaggedBatch;
import io.github.gatedattention.testing.RaggedBatch.Keys;
import io.github.gatedattention.testing.RaggedBatch.Queries;
import io.github.gatedattention.testing.RaggedGradients;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Padded and packed sequences have the gradients that each has alone, dense and full; those of padding are 0. */
class RaggedBackwardTest {
    private static final Keys[] KEYS = {Keys.PACKED, Keys.RIGHT_PADDED, Keys.LEFT_PADDED};
    private static final DataType[] TYPES = {DataType.F32, DataType.BF16, DataType.F16};

    static Stream<Target> targets() {
        return Target.all();
    }

    @ParameterizedTest
    @MethodSource("targets")
    void eachSequenceHasTheGradientsItHasAlone(Target target) {
        Setting gated = Setting.causal(40).withGate(Activation.SIGMOID, Combination.MULTIPLY);
        Setting[] settings = {
            gated,
            gated.withMask(false, 90, 3).withHeadwiseGate(Activation.SILU).withPre(Setting.Pre.RMS_NORM, 1e-5f),
            gated.withMask(true, 50, 0).withGate(Activation.SIGMOID, Combination.ADD),
            Setting.causal(40).withMask(false, -1, -1).withScores(0.2f, 4)
        };
        Random random = new Random(44);
        for (int n = 0; n < 12; n++) {
            Setting setting = settings[n % settings.length];
            RaggedBatch.Model model =
                    new RaggedBatch.Model(setting, TYPES[n % TYPES.length], 4, 2, 40, 24, random.nextBoolean());
            int[] queries = random.ints(1 + random.nextInt(4), 0, 60)
                    .map(count -> random.nextBoolean() ? count % 4 : count)
                    .toArray();
            int[] keys = random.ints(queries.length, 0, 200)
                    .map(count -> count % 9 == 0 ? 0 : count)
                    .toArray();
            compare(target, model, random, queries, keys);
        }
    }

    private static void compare(Target target, RaggedBatch.Model model, Random random, int[] queries, int[] keys) {
        try (Arena arena = Arena.ofShared()) {
            RaggedBatch batch = new RaggedBatch(arena, model, random, queries, keys);
            try (GatedAttention attention =
                    batch.builder(target).threads(1 + random.nextInt(4)).build()) {
                RaggedGradients gradients = new RaggedGradients(arena, batch, target, attention);
                for (Queries queryLayout : Queries.values()) {
                    for (Keys keyLayout : KEYS) {
                        Operands forward = batch.together(queryLayout, keyLayout);
                        attention.forward(forward);
                        BackwardOperands together = gradients.together(forward, queryLayout);
                        attention.backward(together);
                        assertThat(gradients.difference(together, queryLayout, keyLayout))
                                .as(
                                        "%s queries %s, %s keys %s, %s on %s",
                                        queryLayout,
                                        Arrays.toString(queries),
                                        keyLayout,
                                        Arrays.toString(keys),
                                        model,
                                        target)
                                .isNull();
                    }
                }
            }
        }
    }

    /** The gradient of one gate for all sequences is the sum of what each adds. */
    @ParameterizedTest
    @MethodSource("targets")
    void sharedGatesAreSummedOverTheQueriesThatAttend(Target target) {
        try (Arena arena = Arena.ofShared()) {
            Tensor q = normal(arena, 1, 7, 2, 16);
            Tensor k = normal(arena, 1, 9, 2, 16);
            Tensor gate = normal(arena, 1, 1, 1, 16);
            Tensor dOut = normal(arena, 1, 7, 2, 16);
            Tensor starts = Tensor.copyOf(arena, DataType.I32, new int[] {0, 3, 7}, 3);
            Tensor keyStarts = Tensor.copyOf(arena, DataType.I32, new int[] {0, 4, 9}, 3);
            Operands packed = Operands.of(q, k, k, gate, f32(arena, 1, 7, 2, 16))
                    .withLse(f32(arena, 1, 2, 7))
                    .withSequences(Sequences.packed(starts, keyStarts));
            Tensor whole = f32(arena, 1, 1, 1, 16);
            Tensor[] parts = {f32(arena, 1, 1, 1, 16), f32(arena, 1, 1, 1, 16)};
            try (GatedAttention attention = target.builder(
                            Setting.causal(16).withGate(Activation.TANH, Combination.MULTIPLY),
                            DataType.F32,
                            2,
                            2,
                            16,
                            16)
                    .build()) {
                attention.forward(packed);
                attention.backward(BackwardOperands.of(packed, dOut).withDGate(whole));
                int[] bounds = {0, 3, 7};
                int[] keyBounds = {0, 4, 9};
                for (int b = 0; b < 2; b++) {
                    Operands one = Operands.of(
                                    q.slice(1, bounds[b], bounds[b + 1]),
                                    k.slice(1, keyBounds[b], keyBounds[b + 1]),
                                    k.slice(1, keyBounds[b], keyBounds[b + 1]),
                                    gate,
                                    packed.out().slice(1, bounds[b], bounds[b + 1]))
                            .withLse(packed.lse().slice(2, bounds[b], bounds[b + 1]));
                    attention.backward(BackwardOperands.of(one, dOut.slice(1, bounds[b], bounds[b + 1]))
                            .withDGate(parts[b]));
                }
            }
            for (int d = 0; d < 16; d++) {
                double sum = (double) parts[0].getFloat(0, 0, 0, d) + parts[1].getFloat(0, 0, 0, d);
                assertThat((double) whole.getFloat(0, 0, 0, d)).isCloseTo(sum, offset(1e-5));
            }
        }
    }

    private static Tensor f32(Arena arena, long... shape) {
        return Tensor.allocate(arena, DataType.F32, shape);
    }

    private static Tensor normal(Arena arena, long... shape) {
        Random random = new Random(shape[1]);
        float[] values = new float[(int) Arrays.stream(shape).reduce(1, Math::multiplyExact)];
        for (int n = 0; n < values.length; n++) {
            values[n] = (float) random.nextGaussian();
        }
        return Tensor.copyOf(arena, DataType.F32, values, shape);
    }
}
