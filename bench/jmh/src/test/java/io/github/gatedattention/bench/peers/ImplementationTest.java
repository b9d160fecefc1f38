package io.github.gatedattention.bench.peers;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.api.Assumptions.assumeThat;

import io.github.gatedattention.baselines.Float64Reference;
import io.github.gatedattention.bench.Gating;
import io.github.gatedattention.bench.Inputs;
import io.github.gatedattention.bench.Precision;
import io.github.gatedattention.bench.Workload;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Every implementation computes the same thing: a time without this would say nothing. */
class ImplementationTest {
    private static final List<Workload> WORKLOADS = List.of(
            Workload.S128,
            Workload.DECODE_512,
            Workload.DECODE_4096_B4,
            Workload.S1024_UNGATED,
            Workload.S1024_HEADWISE,
            Workload.DECODE_4096_UNGATED,
            Workload.DECODE_4096_HEADWISE);

    private static final Map<String, double[]> EXPECTED = new HashMap<>();

    /** All on this class path; PyTorch's libraries exist for x86-64 alone. */
    static List<Implementation> present() {
        boolean x86 = System.getProperty("os.arch").equals("amd64");
        return Arrays.stream(Implementation.values())
                .filter(implementation -> implementation.host().module().isEmpty())
                .filter(implementation -> x86 || !implementation.name().startsWith("PYTORCH"))
                .toList();
    }

    @ParameterizedTest
    @MethodSource("present")
    void agreesWithFloat64(Implementation implementation) throws Exception {
        assumeThat(implementation).isNotEqualTo(Implementation.BARE_F32);
        boolean elementwiseOnly =
                implementation == Implementation.VECTOR_API_F32 || implementation == Implementation.PLAIN_JAVA_F32;
        for (Workload workload : WORKLOADS) {
            if (workload.gating() == Gating.ELEMENTWISE || !elementwiseOnly) {
                agrees(implementation, workload, 2);
            }
        }
    }

    @Test
    void theBareCallComputesTheSameToo() throws Exception {
        agrees(Implementation.BARE_F32, Workload.CALL, 1);
        agrees(Implementation.PREPARED_F32, Workload.CALL, 1);
    }

    @Test
    void whatCannotBeDoneIsRefusedWithAReason() {
        Inputs headwise = Inputs.of(Workload.DECODE_4096_HEADWISE, Precision.F32);
        assertThatThrownBy(() -> Implementation.PLAIN_JAVA_F32.create(headwise, 1))
                .hasMessage("this baseline knows the element-wise gate only");
        assertThatThrownBy(() -> Implementation.BARE_F32.create(headwise, 1))
                .hasMessage("the bare call is for one head and one thread");
    }

    private static void agrees(Implementation implementation, Workload workload, int threads) throws Exception {
        double allowed = implementation.precision() == Precision.F32 ? 2e-6 : 6e-3;
        Inputs inputs = Inputs.of(workload, implementation.precision());
        double[] expected = EXPECTED.computeIfAbsent(
                workload + " " + implementation.precision(),
                name -> Float64Reference.forward(workload.shape(), inputs.q(), inputs.k(), inputs.v(), inputs.gate()));
        try (Peer peer = implementation.create(inputs, threads)) {
            peer.forward();
            peer.forward(); // a cache or a preallocated output must not make the second call differ
            assertThat(Float64Reference.relativeError(expected, peer.output()))
                    .as("%s on %s", implementation, workload)
                    .isLessThan(allowed);
        }
    }
}
