package io.github.gatedattention.random;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.ExpectedGradient;
import io.github.gatedattention.reference.Gradients;
import io.github.gatedattention.reference.Reference;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Target;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.SplittableRandom;
import java.util.TreeMap;
import org.junit.jupiter.api.Test;

/**
 * Gradients of random calls against float64, every one on the pure Java backend and on one instruction set of the native one.
 *
 * <p>{@code -Dga.random.cases=20000} runs more of them; {@code -Dga.random.seed=N -Dga.random.cases=1} runs one again.
 */
class RandomGradientsTest {
    private static final int CASES =
            Integer.getInteger("ga.random.cases", Boolean.getBoolean("ga.full") ? 10_000 : 1_000);
    private static final long SEED = Long.getLong("ga.random.seed", 20_261_125_000L);
    private static final long MOST_PRODUCTS = 150_000;

    private final List<String> wrong = new ArrayList<>();
    private final Map<String, GradientAgreement> agreements = new TreeMap<>();

    @Test
    void randomGradientsStayWithinTheErrorBound() {
        System.out.println("random gradients: " + CASES + " from seed " + SEED);
        List<Target> cpu = Target.cpu();
        Target java = Target.java().getFirst(); // the other way of this backend computes gradients in the same way
        for (int n = 0; n < CASES; n++) {
            RandomCase drawn = RandomCase.withGradients(SEED + n, MOST_PRODUCTS);
            Setting setting = drawn.setting.withoutRounding();
            DoubleTensor dOut = dOut(drawn);
            List<ExpectedGradient> expected = Reference.of(setting, drawn.type, drawn.q, drawn.k, drawn.v)
                    .gate(drawn.gate)
                    .normWeight(drawn.normWeight)
                    .sink(drawn.sink)
                    .keyLengths(drawn.keyLengths)
                    .gradients(dOut);
            if (!cpu.isEmpty()) {
                check(drawn, setting, cpu.get(Math.floorMod(drawn.seed, cpu.size())), dOut, expected);
            }
            check(drawn, setting, java, dOut, expected);
        }
        agreements.forEach((what, agreement) -> System.out.printf("%-22s%s%n", what, agreement));
        assertThat(wrong.stream().limit(Integer.getInteger("ga.random.show", 10)))
                .as("%d of %d cases are wrong", wrong.size(), CASES)
                .isEmpty();
        agreements.forEach((what, agreement) -> {
            for (int n = 0; n < Gradients.NAMES.size(); n++) {
                double ratio = agreement.besideSingle(n);
                assertThat(Double.isNaN(ratio) || ratio <= 3)
                        .as(
                                "errors of %s of %s are %.2f times those of one evaluation",
                                Gradients.NAMES.get(n), what, ratio)
                        .isTrue();
            }
        });
    }

    private static DoubleTensor dOut(RandomCase drawn) {
        SplittableRandom random = new SplittableRandom(drawn.seed * 7 + 3);
        int[] q = drawn.q.shape();
        DoubleTensor dOut = DoubleTensor.zeros(q[0], q[1], q[2], drawn.v.shape()[3]);
        Arrays.setAll(dOut.values(), n -> random.nextGaussian());
        return dOut.rounded(drawn.type);
    }

    private void check(
            RandomCase drawn, Setting setting, Target target, DoubleTensor dOut, List<ExpectedGradient> expected) {
        GradientAgreement agreement =
                agreements.computeIfAbsent(target + " " + drawn.type, _ -> new GradientAgreement());
        String found;
        try {
            found = new GradientRunner(drawn, setting, target, dOut).run(expected, agreement);
        } catch (RuntimeException e) {
            found = e.toString();
        }
        if (found != null) {
            wrong.add(target + ", " + drawn + ": " + found + "; again with -Dga.random.cases=1 -Dga.random.seed="
                    + drawn.seed);
        }
    }
}
