package io.github.gatedattention.bench.sidebyside;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class StatisticsTest {
    @Test
    void interpolatesBetweenTheNearest() {
        double[] values = {5, 1, 4, 2, 3};
        assertThat(Statistics.median(values)).isEqualTo(3);
        assertThat(Statistics.percentile(values, 0)).isEqualTo(1);
        assertThat(Statistics.percentile(values, 10)).isEqualTo(1.4);
        assertThat(Statistics.percentile(values, 90)).isEqualTo(4.6);
        assertThat(Statistics.percentile(values, 100)).isEqualTo(5);
        assertThat(values).containsExactly(5, 1, 4, 2, 3);
    }

    @Test
    void ofOneAndOfNone() {
        assertThat(Statistics.percentile(new double[] {7}, 90)).isEqualTo(7);
        assertThat(Statistics.median(new double[] {1, 2})).isEqualTo(1.5);
        assertThat(Statistics.median(new double[0])).isNaN();
    }
}
