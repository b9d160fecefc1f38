package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.child.JvmRow;
import io.github.gatedattention.testing.ChildJvm;
import java.util.ArrayList;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Tag;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** The same right results under every collector, from the interpreter to the optimizing compiler, on small stacks. */
@Tag("full")
class JvmMatrixTest {
    private static final List<String> COLLECTORS =
            List.of("UseG1GC", "UseParallelGC", "UseSerialGC", "UseZGC", "UseShenandoahGC");
    private static final List<List<String>> COMPILERS =
            List.of(List.of("-Xint"), List.of("-XX:TieredStopAtLevel=1"), List.of());

    static Stream<List<String>> rows() {
        return COLLECTORS.stream()
                .flatMap(collector -> COMPILERS.stream().map(compiler -> {
                    List<String> row = new ArrayList<>(
                            List.of("-XX:+" + collector, "-Xss256k", "--add-modules=jdk.incubator.vector"));
                    row.addAll(compiler);
                    return row;
                }));
    }

    @ParameterizedTest
    @MethodSource("rows")
    void everyJvm(List<String> options) {
        ChildJvm.Result result = ChildJvm.run(options, JvmRow.class);
        assertThat(result.exit()).as(result.output()).isZero();
        assertThat(result.output()).contains("all right");
    }
}
