package io.github.gatedattention.golden;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.DataType;
import io.github.gatedattention.reference.Agreement;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Expected;
import io.github.gatedattention.reference.Floats;
import io.github.gatedattention.reference.Reference;
import java.util.Arrays;

/** Comparisons that the golden tests share. */
final class Checks {
    /** The floating-point types. */
    static final DataType[] TYPES = {DataType.F32, DataType.BF16, DataType.F16};
    /** Float64 here against float64 there: two orders of summation, over a few hundred terms of size 1. */
    static final double SAME_IN_FLOAT64 = 1e-12;

    private Checks() {}

    /** Attention of exactly these operands, for results of {@code type}. */
    static Expected expected(AttentionLayer.Projected operands, DataType type) {
        return reference(operands, type).compute();
    }

    /** The same, the bounds being wide enough for operands that were rounded to {@code type} first. */
    static Expected beforeRounding(AttentionLayer.Projected operands, DataType type) {
        return reference(operands, type).inputError(Floats.roundoff(type)).compute();
    }

    private static Reference.Builder reference(AttentionLayer.Projected operands, DataType type) {
        return Reference.of(operands.layer().setting(), type, operands.q(), operands.k(), operands.v())
                .gate(operands.gate());
    }

    static void within(String what, DoubleTensor actual, DoubleTensor expected, DoubleTensor bound) {
        assertThat(new Agreement().add(actual, expected, bound)).as(what).isNull();
    }

    static void within(String what, double[] actual, double[] expected, double tolerance) {
        double[] bound = new double[expected.length];
        Arrays.fill(bound, tolerance);
        within(what, actual, expected, bound);
    }

    static void within(String what, double[] actual, double[] expected, double[] bound) {
        within(what, flat(actual), flat(expected), flat(bound));
    }

    private static DoubleTensor flat(double[] values) {
        return new DoubleTensor(values, new int[] {1, 1, 1, values.length});
    }

    static double[] plus(double[] bound, double tolerance) {
        double[] sum = bound.clone();
        for (int n = 0; n < sum.length; n++) {
            sum[n] += tolerance;
        }
        return sum;
    }
}
