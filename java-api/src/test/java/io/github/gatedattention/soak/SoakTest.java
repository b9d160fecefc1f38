package io.github.gatedattention.soak;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.testing.ChildJvm;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;
import org.junit.jupiter.api.condition.EnabledOnOs;
import org.junit.jupiter.api.condition.OS;

/**
 * Mixed load with flat memory, in a JVM of its own: {@link Soak}. Some seconds of it; ten minutes with {@code -Dga.full=true}; an
 * hour with {@code -Dga.soak.seconds=3600}.
 */
@EnabledOnOs(OS.LINUX) // reads /proc
@DisabledIfSystemProperty(named = "ga.native", matches = "false")
class SoakTest {
    private static final int SECONDS = Integer.getInteger("ga.soak.seconds", Boolean.getBoolean("ga.full") ? 600 : 8);
    /** A heap of one size, there from the start: what grows then is not the heap. */
    private static final List<String> OPTIONS =
            List.of("-Xms128m", "-Xmx128m", "-XX:+AlwaysPreTouch", "-XX:+UseSerialGC");

    @Test
    void mixedLoadLeavesMemoryFlat() {
        System.out.println("mixed load for " + SECONDS + " s");
        ChildJvm.Result result = ChildJvm.run(SECONDS + 240L, OPTIONS, Soak.class, Integer.toString(SECONDS));
        System.out.print(result.output());
        assertThat(result.exit()).as(result.output()).isZero();
        assertThat(result.output()).contains("all right");
    }
}
