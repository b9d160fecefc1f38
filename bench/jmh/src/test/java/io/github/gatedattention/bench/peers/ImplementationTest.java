package io.github.gatedattention.bench.peers;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

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

    /** All on this class path but the bare call, which does one shape; PyTorch's libraries exist for x86-64 alone. */
    static List<Implementation> present() {
        boolean x86 = System.getProperty("os.arch").equals("amd64");
        return Arrays.stream(Implementation.values())
                .filter(implementation -> implementation.host().module().isEmpty() && !implementation.isForServing())
                .filter(implementation -> implementation != Implementation.BARE_F32)
                .filter(implementation -> x86 || !implementation.name().startsWith("PYTORCH"))
                .toList();
    }

    @ParameterizedTest
    @MethodSource("present")
    void agreesWithFloat64(Implementation implementation) throws Exception {
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
    void servingComputesTheSame() throws Exception {
        for (Workload workload : List.of(Workload.S128, Workload.DECODE_512, Workload.DECODE_4096_B4)) {
            agrees(Implementation.GATED_ATTENTION_F16, workload, 2);
            agrees(Implementation.PAGED_BF16, workload, 2);
            agrees(Implementation.INT8_BF16, workload, 2);
            agrees(Implementation.PAGED_INT8_BF16, workload, 2);
        }
        for (Implementation implementation : List.of(
                Implementation.PACKED_BF16,
                Implementation.PACKED_F32,
                Implementation.GATED_ATTENTION_BF16,
                Implementation.ONNX_RUNTIME_F32)) {
            agrees(implementation, Workload.RAGGED_512_B8, 2);
        }
    }

    @Test
    void bytesOfAnInt8Cache() {
        long queries = 3L * 16 * 128 * 2;
        assertThat(Implementation.PAGED_BF16.bytes(Workload.DECODE_4096)).isEqualTo(queries + 2L * 4096 * 8 * 128 * 2);
        assertThat(Implementation.INT8_BF16.bytes(Workload.DECODE_4096)).isEqualTo(queries + 2L * 4096 * 8 * (128 + 4));
    }

    @Test
    void flopOfARaggedBatch() {
        long pairs = 0;
        for (int b = 0; b < 8; b++) {
            for (int i = 0; i < Workload.RAGGED_512_B8.length(b); i++) {
                pairs += i + 1;
            }
        }
        assertThat(Workload.RAGGED_512_B8.flop()).isEqualTo(4L * 128 * 16 * pairs);
    }

    @Test
    void whatCannotBeDoneIsRefusedWithAReason() {
        Inputs headwise = Inputs.of(Workload.DECODE_4096_HEADWISE, Precision.F32);
        assertThatThrownBy(() -> Implementation.PLAIN_JAVA_F32.create(headwise, 1))
                .hasMessage("this baseline knows the element-wise gate only");
        assertThatThrownBy(() -> Implementation.BARE_F32.create(headwise, 1))
                .hasMessage("the bare call is for one head and one thread");
        assertThatThrownBy(() -> Implementation.PACKED_F32.create(headwise, 1))
                .hasMessage("packing is for sequences of their own lengths");
        assertThatThrownBy(() -> Implementation.PAGED_BF16.create(headwise, 1))
                .hasMessage("caches are measured with the element-wise gate only");
    }

    private static void agrees(Implementation implementation, Workload workload, int threads) throws Exception {
        boolean whole = implementation == Implementation.INT8_BF16 || implementation == Implementation.PAGED_INT8_BF16;
        double allowed = whole ? 3e-2 : implementation.precision() == Precision.F32 ? 2e-6 : 6e-3;
        Inputs inputs = Inputs.of(workload, implementation.precision());
        double[] expected = EXPECTED.computeIfAbsent(
                workload + " " + implementation.precision(),
                name -> Float64Reference.forward(workload.shape(), inputs.q(), inputs.k(), inputs.v(), inputs.gate()));
        try (Peer peer = implementation.create(inputs, threads)) {
            peer.forward();
            peer.forward(); // a cache or a preallocated output must not make the second call differ
            float[] actual = peer.output();
            workload.clearPadding(actual, expected);
            assertThat(Float64Reference.relativeError(expected, actual))
                    .as("%s on %s", implementation, workload)
                    .isLessThan(allowed);
        }
    }
}
