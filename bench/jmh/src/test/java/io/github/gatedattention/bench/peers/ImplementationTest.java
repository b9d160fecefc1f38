package io.github.gatedattention.bench.peers;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.baselines.Float64Reference;
import io.github.gatedattention.bench.Inputs;
import io.github.gatedattention.bench.Precision;
import io.github.gatedattention.bench.Workload;
import java.util.Arrays;
import java.util.List;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every implementation computes the same thing: a time without this would say nothing. */
class ImplementationTest {
    /** All of them; PyTorch's libraries exist for x86-64 alone. */
    static List<Implementation> present() {
        boolean x86 = System.getProperty("os.arch").equals("amd64");
        return Arrays.stream(Implementation.values())
                .filter(implementation -> x86 || !implementation.name().startsWith("PYTORCH"))
                .toList();
    }

    @ParameterizedTest
    @MethodSource("present")
    void agreesWithFloat64(Implementation implementation) throws Exception {
        double allowed = implementation.precision() == Precision.F32 ? 2e-6 : 6e-3;
        for (Workload workload : new Workload[] {Workload.S128, Workload.DECODE_512}) {
            Inputs inputs = Inputs.of(workload, implementation.precision());
            double[] expected =
                    Float64Reference.forward(workload.shape(), inputs.q(), inputs.k(), inputs.v(), inputs.gate());
            try (Peer peer = implementation.create(inputs, 2)) {
                peer.forward();
                peer.forward(); // a cache or a preallocated output must not make the second call differ
                assertThat(Float64Reference.relativeError(expected, peer.output()))
                        .as("%s on %s", implementation, workload)
                        .isLessThan(allowed);
            }
        }
    }
}
