package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What {@code explain} prints. */
class PlanTest {
    @Test
    void aLineForPeople() {
        Plan prefill = new Plan(
                "cpu",
                "prefill_bf16_avx512_bf16",
                InstructionSet.AVX512_BF16,
                2,
                192,
                256,
                44,
                3_500_000,
                8_594_128_896L,
                10_485_760);
        assertThat(prefill)
                .hasToString("cpu/prefill_bf16_avx512_bf16 (AVX512_BF16, 2 threads): 44 tasks of 192 query rows,"
                        + " 256 keys per step, 3.3 MiB workspace, 8.6 GFLOP, 10.0 MiB moved");
    }

    @Test
    void smallAndLargeNumbers() {
        Plan one = new Plan("java", "java_f32", InstructionSet.SCALAR, 1, 1, 1, 1, 0, 32, 1023);
        assertThat(one)
                .hasToString("java/java_f32 (SCALAR, 1 thread): 1 task of 1 query row, 1 key per step,"
                        + " 0 bytes workspace, 32 FLOP, 1023 bytes moved");
        Plan much = new Plan(
                "java", "java_f32", InstructionSet.SCALAR, 1, 1, 1, 1, 5L << 30, Long.MAX_VALUE, Long.MAX_VALUE);
        assertThat(much.toString()).endsWith("5.0 GiB workspace, 9223.4 PFLOP, 8388608.0 TiB moved");
    }

    static Stream<Backend> backends() {
        return Stream.of(Backend.cpu(), Backend.java()).filter(Backend::isAvailable);
    }

    /** Every number of a real plan is there, and in its line. */
    @ParameterizedTest
    @MethodSource("backends")
    void everyPartOfAPlan(Backend backend) {
        try (GatedAttention attention = GatedAttention.builder()
                .queryHeads(4)
                .keyValueHeads(2)
                .headDim(64)
                .mask(Mask.causal())
                .backend(backend)
                .threads(2)
                .build()) {
            Tensor q = Tensor.withoutMemory(DataType.F32, 1, 300, 4, 64);
            Tensor k = Tensor.withoutMemory(DataType.F32, 1, 300, 2, 64);
            Plan plan = attention.explain(q, k);
            assertThat(plan.queryBlock()).isPositive();
            assertThat(plan.keyBlock()).isPositive();
            assertThat(plan.tasks()).isPositive();
            assertThat(plan.workspaceBytes()).isPositive();
            assertThat(plan.flop()).isEqualTo(2L * 128 * 4 * 300 * 301 / 2);
            assertThat(plan.bytes()).isEqualTo(4L * 300 * 64 * (4 + 2 + 2 + 4 + 4));
            assertThat(plan.toString())
                    .startsWith(backend.name() + "/" + plan.kernel() + " (" + plan.instructionSet() + ", 2 threads)")
                    .contains(
                            " of " + plan.queryBlock() + " query row",
                            plan.tasks() + " task",
                            plan.keyBlock() + " key",
                            " workspace, 46.2 MFLOP, 1.2 MiB moved");
        }
    }
}
