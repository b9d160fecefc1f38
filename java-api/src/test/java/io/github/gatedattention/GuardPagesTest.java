package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.child.FarApart;
import io.github.gatedattention.child.GuardPages;
import io.github.gatedattention.child.ReadBeyond;
import io.github.gatedattention.testing.ChildJvm;
import java.util.List;
import org.junit.jupiter.api.Test;

/** No call touches a byte before or behind its tensors. */
class GuardPagesTest {
    private static final List<String> VECTORS = List.of("--add-modules=jdk.incubator.vector");

    @Test
    void nothingOutsideTheTensorsIsTouched() {
        ChildJvm.Result result = ChildJvm.run(VECTORS, GuardPages.class);
        assertThat(result.exit()).as(result.output()).isZero();
        assertThat(result.output()).contains("calls: ");
    }

    /** The guard pages guard: native code that reads one element too many ends the child. */
    @Test
    void aReadBeyondATensorWouldBeSeen() {
        ChildJvm.Result result = ChildJvm.run(List.of(), ReadBeyond.class);
        assertThat(result.exit()).as(result.output()).isNotZero();
        assertThat(result.output()).contains("reading", "SIGSEGV").doesNotContain("survived");
    }

    /** Offsets beyond 2^31 elements and 2^32 bytes. */
    @Test
    void tensorsThatSpanGigabytes() {
        ChildJvm.Result result = ChildJvm.run(VECTORS, FarApart.class);
        assertThat(result.exit()).as(result.output()).isZero();
        assertThat(result.output()).contains("all right");
    }
}
