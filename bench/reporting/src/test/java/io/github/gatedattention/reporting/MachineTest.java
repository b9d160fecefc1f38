package io.github.gatedattention.reporting;

import static org.assertj.core.api.Assertions.assertThat;

import java.util.List;
import org.junit.jupiter.api.Test;

class MachineTest {
    @Test
    void namesAnX86Processor() {
        List<String> cpuInfo = List.of(
                "cpu family\t: 26", "model\t\t: 2", "model name\t: AMD EPYC", "flags\t\t: fpu avx2 avx512f avx512bw");
        Machine machine = Machine.of(cpuInfo, "amd64", 2);
        assertThat(machine.name()).isEqualTo("AMD EPYC, family 26, model 2, 2 processors");
        assertThat(machine.slug()).isEqualTo("amd-epyc-family-26-model-2-2-processors");
        assertThat(machine.avx512()).isTrue();
    }

    @Test
    void namesAnArmProcessorByItsNumbers() {
        List<String> cpuInfo = List.of("Features\t: fp asimd", "CPU implementer\t: 0x41", "CPU part\t: 0xd0c");
        Machine machine = Machine.of(cpuInfo, "aarch64", 1);
        assertThat(machine.name()).isEqualTo("aarch64, implementer 0x41, part 0xd0c, 1 processor");
        assertThat(machine.avx512()).isFalse();
    }
}
