package io.github.gatedattention.bench.sidebyside;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.gatedattention.bench.Workload;
import io.github.gatedattention.bench.peers.Implementation;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.api.Test;

class MeasuredTest {
    private static final double WORK = Workload.S128.flop();

    @Test
    void aShareIsTheMedianOverTheRoundsEachWithItsOwnPeak() {
        Measured row = row(new Peak("dot_bf16 2", List.of(125.0, 250.0, 225.0)), 100, 200, 90);

        assertThat(row.rate()).isCloseTo(100, within(1e-9));
        assertThat(row.peak().gigaPerSecond()).isEqualTo(225);
        assertThat(row.share()).isCloseTo(0.8, within(1e-9));
    }

    @Test
    void aRowThatLeftEarlyHasThePeaksOfItsRounds() {
        Measured row = row(new Peak("dot_bf16 2", List.of(100.0, 100.0, 400.0, 400.0, 400.0)), 50, 50);

        assertThat(row.share()).isCloseTo(0.5, within(1e-9));
    }

    @Test
    void withoutAPeakThereIsNoShare() {
        assertThat(row(Peak.NONE, 50).share()).isNaN();
    }

    private static Measured row(Peak peak, double... rates) {
        List<Double> rounds =
                Arrays.stream(rates).map(rate -> WORK / rate).boxed().toList();
        return new Measured(
                Section.PREFILL,
                new Entry(Workload.S128, Implementation.GATED_ATTENTION_BF16, 2),
                "",
                1e-3,
                10,
                rounds,
                peak);
    }
}
