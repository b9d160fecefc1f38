package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.random.RandomCasesMain;
import io.github.gatedattention.testing.ChildJvm;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/** The Vector API path at any width of vectors, and its switch. */
class VectorWidthTest {
    private static final String CASES = "120";
    private static final int BITS_PER_BYTE = 8;

    /** Widths from two lanes on; the machine may have less than is asked for. */
    @ParameterizedTest
    @ValueSource(ints = {8, 16, 32, 64})
    void randomCases(int bytes) {
        ChildJvm.Result result = ChildJvm.run(
                List.of("--add-modules=jdk.incubator.vector", "-XX:MaxVectorSize=" + bytes),
                RandomCasesMain.class,
                CASES);
        assertThat(result.exit()).as(result.output()).isZero();
        assertThat(result.output()).contains("all right");
        int own = VectorMath.SPECIES.vectorBitSize();
        assertThat(result.output()).contains("kernel: java_vector_f32_" + Math.min(own, bytes * BITS_PER_BYTE));
    }

    /** Without the module, with the switch, and with both: plain loops, and all that stands against vectors. */
    @Test
    void plainLoopsOtherwise() {
        String vectors = "--add-modules=jdk.incubator.vector";
        String off = "-Dgatedattention.vector=false";
        assertThat(path(List.of()))
                .contains("java_f32")
                .contains("reason: the module jdk.incubator.vector is not present; --add-modules jdk.incubator.vector"
                        + " would make it faster");
        assertThat(path(List.of(vectors))).contains("java_vector_f32").contains("reason: null");
        assertThat(path(List.of(vectors, off)))
                .contains("java_f32")
                .contains("reason: -Dgatedattention.vector=false asks for plain loops" + System.lineSeparator());
        assertThat(path(List.of(off)))
                .contains("java_f32")
                .contains("reason: -Dgatedattention.vector=false asks for plain loops, and the module"
                        + " jdk.incubator.vector is not present" + System.lineSeparator());
    }

    private static String path(List<String> options) {
        return ChildJvm.run(options, PathName.class).output();
    }

    /** Prints the kernel that {@link Backend#java()} uses, and why. */
    static final class PathName {
        public static void main(String[] arguments) {
            try (GatedAttention attention = GatedAttention.builder()
                    .queryHeads(1)
                    .headDim(8)
                    .backend(Backend.java())
                    .build()) {
                Tensor x = Tensor.withoutMemory(DataType.F32, 1, 40, 1, 8);
                System.out.println(attention.explain(x, x).kernel());
                System.out.println("reason: " + attention.backend().slowReason());
            }
        }
    }
}
