package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.child.NativeAccess;
import io.github.gatedattention.testing.ChildJvm;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;

/** With and without the grant of native access. */
@DisabledIfSystemProperty(named = "ga.native", matches = "false")
class NativeAccessTest {
    @Test
    void granted() {
        ChildJvm.Result result = ChildJvm.run(List.of("--illegal-native-access=deny", "-Xss256k"), NativeAccess.class);
        assertThat(result.exit()).as(result.output()).isZero();
        assertThat(result.output()).contains("reason: null", "native attention built", "computed 1.0 on cpu");
        assertThat(result.output()).doesNotContain("WARNING");
    }

    /** Denied: the reason names the option to add, and the pure Java backend takes over. */
    @Test
    void denied() {
        ChildJvm.Result result = ChildJvm.runPlain(List.of("--illegal-native-access=deny"), NativeAccess.class);
        assertThat(result.exit()).as(result.output()).isZero();
        assertThat(result.output())
                .contains(
                        "--enable-native-access",
                        "UNSUPPORTED: backend cpu is not available",
                        "--add-modules jdk.incubator.vector would make it faster",
                        "computed 1.0 on java")
                .doesNotContain("\tat ");
    }

    /** Denied, but with the Vector API: there is no option left to name. */
    @Test
    void deniedWithVectors() {
        ChildJvm.Result result = ChildJvm.runPlain(
                List.of("--illegal-native-access=deny", "--add-modules=jdk.incubator.vector"), NativeAccess.class);
        assertThat(result.exit()).as(result.output()).isZero();
        assertThat(result.output())
                .contains("attention runs on Java's Vector API", "computed 1.0 on java")
                .doesNotContain("\tat ", "would make it faster");
    }
}
