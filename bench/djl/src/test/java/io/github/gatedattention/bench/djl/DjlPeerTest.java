package io.github.gatedattention.bench.djl;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.baselines.Float64Reference;
import io.github.gatedattention.bench.Inputs;
import io.github.gatedattention.bench.Workload;
import io.github.gatedattention.bench.peers.Implementation;
import io.github.gatedattention.bench.peers.Peer;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class DjlPeerTest {
    @ParameterizedTest
    @EnabledOnOs(architectures = "amd64")
    @EnumSource(names = {"S128", "DECODE_4096_B4", "S1024_UNGATED", "S1024_HEADWISE", "DECODE_4096_HEADWISE"})
    void agreesWithFloat64(Workload workload) throws Exception {
        Inputs inputs = Inputs.of(workload, Implementation.DJL_F32.precision());
        double[] expected =
                Float64Reference.forward(workload.shape(), inputs.q(), inputs.k(), inputs.v(), inputs.gate());
        try (Peer peer = Implementation.DJL_F32.create(inputs, 2)) {
            peer.forward();
            peer.forward(); // a preallocated output must not make the second call differ
            assertThat(Float64Reference.relativeError(expected, peer.output())).isLessThan(2e-6);
        }
    }
}
