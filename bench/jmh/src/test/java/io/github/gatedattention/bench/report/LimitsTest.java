package io.github.gatedattention.bench.report;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.bench.Precision;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class LimitsTest {
    private static final String OUTPUT = """
            {"threads": 1, "fma_f32_gflops": 272.5, "dot_bf16_gflops": 544.0, "read_dram_gbps": 38.1}
            {"threads": 2, "fma_f32_gflops": 520.0, "dot_bf16_gflops": 1040.0, "read_dram_gbps": 46.0}
            """;

    @Test
    void takesTheLineOfTheThreads() {
        Limits limits = Limits.of(OUTPUT, 2);
        assertThat(limits.gigaflops(Precision.F32)).hasValue(520);
        assertThat(limits.gigaflops(Precision.BF16)).hasValue(1040);
        assertThat(limits.gigabytes()).hasValue(46);
    }

    @Test
    void tilesAreThePeakWhereThereAreSome() {
        String line = "{\"threads\": 1, \"dot_bf16_gflops\": 115.0, \"amx_bf16_gflops\": 3280.0}";
        assertThat(Limits.of(line, 1).gigaflops(Precision.BF16)).hasValue(3280);
    }

    @Test
    void withoutABf16InstructionTheFmaIsThePeak() {
        Limits limits = Limits.of("{\"threads\": 1, \"fma_f32_gflops\": 100, \"dot_bf16_gflops\": 0.0}", 1);
        assertThat(limits.gigaflops(Precision.BF16)).hasValue(100);
        assertThat(limits.gigabytes()).isEmpty();
    }

    @Test
    void saysWhatIsMissing(@TempDir Path repository) throws Exception {
        assertThat(Limits.of(OUTPUT, 3).absence()).isEqualTo("limits printed nothing for 3 threads");
        assertThat(Limits.measure(repository, 2).absence())
                .endsWith("limits is not built: cmake -B build && cmake --build build --target limits");
    }
}
