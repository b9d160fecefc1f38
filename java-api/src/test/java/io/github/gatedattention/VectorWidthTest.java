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

    /** Without the module, and with the switch: plain loops. */
    @Test
    void plainLoopsOtherwise() {
        assertThat(ChildJvm.run(List.of(), PathName.class).output()).contains("java_f32");
        assertThat(ChildJvm.run(List.of("--add-modules=jdk.incubator.vector"), PathName.class)
                        .output())
                .contains("java_vector_f32");
        assertThat(ChildJvm.run(
                                List.of("--add-modules=jdk.incubator.vector", "-Dgatedattention.vector=false"),
                                PathName.class)
                        .output())
                .contains("java_f32");
    }

    /** Prints the kernel that {@link Backend#java()} uses. */
    static final class PathName {
        public static void main(String[] arguments) {
            try (GatedAttention attention = GatedAttention.builder()
                    .queryHeads(1)
                    .headDim(8)
                    .backend(Backend.java())
                    .build()) {
                Tensor x = Tensor.withoutMemory(DataType.F32, 1, 40, 1, 8);
                System.out.println(attention.explain(x, x).kernel());
            }
        }
    }
}
