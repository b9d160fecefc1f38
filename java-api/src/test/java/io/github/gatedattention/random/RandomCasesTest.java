package io.github.gatedattention.random;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.DataType;
import io.github.gatedattention.reference.Agreement;
import io.github.gatedattention.reference.Expected;
import io.github.gatedattention.testing.Target;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * Random calls against float64, every one on the pure Java backend, both ways, and on one instruction set of the native one.
 *
 * <p>{@code -Dga.random.cases=20000} runs more of them; {@code -Dga.random.seed=N -Dga.random.cases=1} runs one again.
 */
class RandomCasesTest {
    private static final int CASES =
            Integer.getInteger("ga.random.cases", Boolean.getBoolean("ga.full") ? 20_000 : 2_000);
    private static final long SEED = Long.getLong("ga.random.seed", 20_261_123_000L);
    /** Below this many elements the mean error says little. */
    private static final long ENOUGH_FOR_BIAS = 50_000;

    private final List<String> wrong = new ArrayList<>();
    private final Map<String, Agreement> outs = new TreeMap<>();
    private final Map<String, Agreement> lses = new TreeMap<>();

    @Test
    void randomCallsStayWithinTheErrorBound() {
        System.out.println("random cases: " + CASES + " from seed " + SEED);
        List<Target> cpu = Target.cpu();
        for (int n = 0; n < CASES; n++) {
            RandomCase drawn = new RandomCase(SEED + n);
            Expected expected = drawn.expected();
            if (!cpu.isEmpty()) {
                check(drawn, cpu.get(Math.floorMod(drawn.seed, cpu.size())), expected);
            }
            for (Target java : Target.java()) {
                check(drawn, java, expected);
            }
        }
        assertThat(wrong.stream().limit(Integer.getInteger("ga.random.show", 10)))
                .as("%d of %d cases are wrong", wrong.size(), CASES)
                .isEmpty();
        outs.forEach((what, agreement) -> {
            System.out.printf(
                    "%-22s worst error %.3f of its bound, mean error %+.4f of the mean bound, %d elements; lse %.3f%n",
                    what,
                    agreement.worst(),
                    agreement.bias(),
                    agreement.elements(),
                    lses.get(what).worst());
            if (!what.endsWith(DataType.F32.name()) && agreement.elements() > ENOUGH_FOR_BIAS) {
                assertThat(Math.abs(agreement.bias()))
                        .as("mean signed error of %s as a share of the mean bound", what)
                        .isLessThanOrEqualTo(0.1);
            }
        });
    }

    /** Found by longer runs, on one set or on the Vector API; here on all of them. */
    @ParameterizedTest
    @ValueSource(longs = {20_261_127_084L, 20_261_140_549L, 20_261_141_953L, 20_261_202_620L})
    void callsThatOnceExceededTheirBound(long seed) {
        RandomCase drawn = new RandomCase(seed);
        Expected expected = drawn.expected();
        Target.all().forEach(target -> check(drawn, target, expected));
        assertThat(wrong).isEmpty();
    }

    private void check(RandomCase drawn, Target target, Expected expected) {
        String what = target + " " + drawn.type;
        Agreement out = outs.computeIfAbsent(what, _ -> new Agreement());
        Agreement lse = lses.computeIfAbsent(what, _ -> new Agreement());
        String found;
        try {
            found = new CaseRunner(drawn, target).run(expected, out, lse);
        } catch (RuntimeException e) {
            found = e.toString();
        }
        if (found != null) {
            wrong.add(target + ", " + drawn + ": " + found + "; again with -Dga.random.cases=1 -Dga.random.seed="
                    + drawn.seed);
        }
    }
}
