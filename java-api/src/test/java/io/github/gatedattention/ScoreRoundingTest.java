package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Neither scale of a score rounds what it is a sum of. */
class ScoreRoundingTest {
    private static final int D = 256;

    /**
     * Large products of a query and the only key cancel out, so that the log-sum-exp is 0 whatever the scales are. Where elements of
     * either are scaled before, it is off by several whole numbers.
     */
    @ParameterizedTest
    @MethodSource("io.github.gatedattention.testing.Target#all")
    void largeProductsCancelOut(Target target) {
        float[] large = new float[D];
        Arrays.fill(large, 0, 127, 100);
        Arrays.fill(large, 127, 227, -127);
        float[] sevens = new float[D];
        Arrays.fill(sevens, 7);
        for (int queries : new int[] {2, 150}) {
            for (DataType keys : new DataType[] {DataType.F32, DataType.I8}) {
                expectZero(target, queries, keys, large, sevens);
                expectZero(target, queries, keys, sevens, large);
            }
        }
    }

    private static void expectZero(Target target, int queries, DataType keys, float[] query, float[] key) {
        try (Arena arena = Arena.ofConfined();
                GatedAttention attention = GatedAttention.builder()
                        .queryHeads(1)
                        .headDim(D)
                        .gate(Gate.none())
                        .scale(1234.5678f)
                        .backend(target.backend())
                        .maxInstructionSet(target.instructionSet())
                        .build()) {
            float[] rows = new float[queries * D];
            for (int i = 0; i < queries; i++) {
                System.arraycopy(query, 0, rows, i * D, D);
            }
            Tensor q = Tensor.copyOf(arena, DataType.F32, rows, 1, queries, 1, D);
            Tensor lse = Tensor.allocate(arena, DataType.F32, 1, 1, queries);
            Tensor k = Tensor.allocate(arena, keys, 1, 1, 1, D);
            for (int d = 0; d < D; d++) {
                if (keys == DataType.I8) {
                    k.segment().setAtIndex(ValueLayout.JAVA_BYTE, d, (byte) key[d]);
                } else {
                    k.segment().setAtIndex(ValueLayout.JAVA_FLOAT, d, key[d]);
                }
            }
            Operands operands = Operands.of(q, k, k, null, Tensor.allocate(arena, DataType.F32, 1, queries, 1, D))
                    .withLse(lse);
            if (keys == DataType.I8) {
                Tensor scales = Tensor.copyOf(arena, DataType.F32, new float[] {0.0123456f}, 1, 1, 1);
                operands = operands.withScales(new Scales(scales, scales));
            }
            attention.forward(operands);
            String what = "%s, %d queries, keys in %s".formatted(target, queries, keys);
            for (float value : lse.toFloatArray()) {
                assertThat(value).as(what).isCloseTo(0, within(1e-5f));
            }
            AttentionProbe probe = AttentionProbe.firstToken();
            for (AttentionProbe either : new AttentionProbe[] {probe, probe.withEntropy()}) {
                assertThat(attention.measure(operands, either).firstToken())
                        .as(what)
                        .isCloseTo(1, within(1e-5));
            }
        }
    }
}
