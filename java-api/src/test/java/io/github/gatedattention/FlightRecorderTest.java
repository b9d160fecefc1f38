package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.child.NativeAccess;
import io.github.gatedattention.child.RecordedCalls;
import io.github.gatedattention.testing.ChildJvm;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;

/** Recordings of JDK Flight Recorder, in JVMs of their own: its threads would go on allocating in this one. */
class FlightRecorderTest {
    @Test
    void everyCallIsAnEvent() {
        ChildJvm.Result result = ChildJvm.run(List.of("--add-modules=jdk.incubator.vector"), RecordedCalls.class);
        assertThat(result.exit()).as(result.output()).isZero();
        assertThat(result.output()).contains("all right");
    }

    /** As in a run-time image that was linked without it. */
    @Test
    @DisabledIfSystemProperty(named = "ga.native", matches = "false")
    void aJvmWithoutFlightRecorder() {
        ChildJvm.Result result = ChildJvm.run(List.of("--limit-modules=java.base"), NativeAccess.class);
        assertThat(result.exit()).as(result.output()).isZero();
        assertThat(result.output()).contains("computed 1.0 on cpu");
    }
}
