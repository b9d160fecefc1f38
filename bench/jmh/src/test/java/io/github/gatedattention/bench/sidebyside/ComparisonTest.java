package io.github.gatedattention.bench.sidebyside;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.bench.Workload;
import io.github.gatedattention.bench.peers.Implementation;
import io.github.gatedattention.bench.peers.Trainer;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class ComparisonTest {
    @Test
    void threadsDoubleUpToTheProcessors() {
        assertThat(Comparison.threadCounts(1)).containsExactly(1);
        assertThat(Comparison.threadCounts(2)).containsExactly(1, 2);
        assertThat(Comparison.threadCounts(12)).containsExactly(1, 2, 4, 8, 12);
    }

    @Test
    void everyoneIsComparedOnEveryPrefillAndDecode() {
        for (Comparison comparison : Comparison.all(2, 2)) {
            assertThat(comparison.entries()).doesNotHaveDuplicates();
            if (comparison.section() == Section.PREFILL || comparison.section() == Section.DECODE) {
                assertThat(comparison.entries())
                        .extracting(Entry::implementation)
                        .containsExactlyElementsOf(List.of(Implementation.values()).stream()
                                .filter(i -> i != Implementation.PREPARED_F32
                                        && i != Implementation.BARE_F32
                                        && !i.isForServing())
                                .toList());
            }
        }
    }

    @Test
    void namesTellComparisonsApart() {
        assertThat(Comparison.all(2, 2))
                .extracting(Comparison::name)
                .doesNotHaveDuplicates()
                .contains("PREFILL S128");
        assertThat(Comparison.all(2, 2)).filteredOn(c -> c.matches("GATE|CALL")).hasSize(3);
    }

    /** Caches of each kind on each decode and a chunk of a prompt, and packed batches beside padded ones. */
    @Test
    void servingIsComparedWithItself() {
        List<Comparison> serving = Comparison.all(2, 2).stream()
                .filter(comparison -> comparison.section() == Section.SERVING)
                .toList();
        assertThat(serving)
                .extracting(Comparison::name)
                .containsExactly(
                        "SERVING DECODE_4096",
                        "SERVING DECODE_32768",
                        "SERVING DECODE_4096_B8",
                        "SERVING CHUNK_512",
                        "SERVING RAGGED_512_B8");
        assertThat(serving.stream().flatMap(c -> c.entries().stream()))
                .extracting(Entry::implementation)
                .containsAll(Arrays.stream(Implementation.values())
                        .filter(Implementation::isForServing)
                        .toList());
        // Fewer bytes are read from an int8 cache, and a share of the peak is a share of reading those.
        assertThat(Peak.request(new Entry(Workload.DECODE_512, Implementation.PAGED_INT8_BF16, 2), "dot_bf16"))
                .isEqualTo("read " + (2 * 512 * 8 * (128 + 4) + 2 * 3 * 16 * 128) + " 2");
    }

    /** Steps of training by whoever has gradients; one is more work than a forward pass. */
    @Test
    void trainersTakeTurns() {
        List<Comparison> training = Comparison.all(2, 2).stream()
                .filter(comparison -> comparison.section() == Section.TRAINING)
                .toList();
        assertThat(training)
                .extracting(Comparison::name)
                .containsExactly("TRAINING STEP_512", "TRAINING STEP_1024", "TRAINING STEP_2048");
        assertThat(training.stream().flatMap(c -> c.entries().stream()))
                .allMatch(entry -> entry.workload().isStep())
                .extracting(entry -> Trainer.Kind.of(entry.implementation()))
                .contains(Trainer.Kind.values());
        assertThat(Workload.STEP_512.flop()).isEqualTo(Workload.S512.flop() * 7 / 2);
        assertThat(Peak.request(new Entry(Workload.STEP_512, Implementation.PYTORCH_F32, 2), "dot_bf16"))
                .isEqualTo("fma_f32 2");
    }

    @Test
    void theLimitIsThatOfTheTypeTheBytesAndTheThreads() {
        assertThat(Peak.request(new Entry(Workload.S128, Implementation.PYTORCH_BF16, 4), "dot_bf16"))
                .isEqualTo("dot_bf16 4");
        assertThat(Peak.request(new Entry(Workload.S128, Implementation.PYTORCH_BF16, 4), "fma_f32"))
                .isEqualTo("fma_f32 4");
        assertThat(Peak.request(new Entry(Workload.S128, Implementation.DJL_F32, 1), "dot_bf16"))
                .isEqualTo("fma_f32 1");
        assertThat(Peak.request(new Entry(Workload.DECODE_512, Implementation.DJL_F32, 2), "dot_bf16"))
                .isEqualTo("read " + 4 * (2 * 512 * 8 * 128 + 3 * 16 * 128) + " 2");
        assertThat(Peak.request(new Entry(Workload.CALL, Implementation.DJL_F32, 1), "dot_bf16"))
                .isEmpty();
    }
}
