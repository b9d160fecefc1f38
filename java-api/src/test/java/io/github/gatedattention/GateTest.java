package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatNullPointerException;

import java.util.function.DoubleUnaryOperator;
import org.assertj.core.data.Offset;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

class GateTest {

    @Test
    void settingsDoNotDisturbEachOther() {
        Gate gate = Gate.headwise(Activation.SILU)
                .withCombination(Combination.ADD)
                .withRmsNorm(1e-6f)
                .withRoundBeforeGate(true);

        assertThat(gate.isPresent()).isTrue();
        assertThat(gate.isHeadwise()).isTrue();
        assertThat(gate.activation()).isEqualTo(Activation.SILU);
        assertThat(gate.combination()).isEqualTo(Combination.ADD);
        assertThat(gate.normEps()).isEqualTo(1e-6f);
        assertThat(gate.roundBeforeGate()).isTrue();
        assertThat(gate.withSilu().hasRmsNorm()).isFalse();
        assertThat(gate).hasToString("headwise silu add, after RMSNorm(1.0E-6), rounded before");
    }

    @Test
    void gatesAreValues() {
        assertThat(Gate.elementwise(Activation.TANH))
                .isEqualTo(Gate.elementwise(Activation.TANH))
                .hasSameHashCodeAs(Gate.elementwise(Activation.TANH))
                .isNotEqualTo(Gate.headwise(Activation.TANH));
    }

    @Test
    void noGateHasNothingToCombine() {
        assertThat(Gate.none().isPresent()).isFalse();
        assertThat(Gate.none().withSilu().isPresent()).isFalse();
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Gate.none().withCombination(Combination.ADD))
                .withMessageContaining("no gate to combine with");
        assertThatNullPointerException()
                .isThrownBy(() -> Gate.elementwise(null))
                .withMessage("activation");
    }

    @ParameterizedTest
    @ValueSource(floats = {-1e-6f, Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY})
    void epsMustBeFiniteAndNotNegative(float eps) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Gate.none().withRmsNorm(eps))
                .withMessage("norm eps is " + eps + ", but must be finite and at least 0");
    }

    @ParameterizedTest
    @EnumSource
    void activationsAreTheirFormulasWithinOneUnit(Activation activation) {
        DoubleUnaryOperator formula = switch (activation) {
            case SIGMOID -> g -> 1 / (1 + Math.exp(-g));
            case SILU -> g -> g / (1 + Math.exp(-g));
            case IDENTITY -> g -> g;
            case NS_SIGMOID -> g -> 0.5 + 0.5 / (1 + Math.exp(-g));
            case TWO_SIGMOID -> g -> 2 / (1 + Math.exp(-g));
            case SOFTPLUS -> g -> g > 30 ? g : Math.log1p(Math.exp(g));
            case TANH -> Math::tanh;
        };
        for (float g = -80; g <= 80; g += 0.37f) {
            float exact = (float) formula.applyAsDouble(g);
            assertThat(activation.apply(g)).as("a(%s)", g).isCloseTo(exact, Offset.offset(Math.ulp(exact)));
        }
    }

    @ParameterizedTest
    @EnumSource
    void activationsHaveTheirLimitsAndKeepNan(Activation activation) {
        float low = activation.apply(Float.NEGATIVE_INFINITY);
        float high = activation.apply(Float.POSITIVE_INFINITY);

        switch (activation) {
            case SIGMOID -> assertThat(new float[] {low, high}).containsExactly(0, 1);
            case SILU, SOFTPLUS -> assertThat(new float[] {low, high}).containsExactly(0, Float.POSITIVE_INFINITY);
            case IDENTITY ->
                assertThat(new float[] {low, high}).containsExactly(Float.NEGATIVE_INFINITY, Float.POSITIVE_INFINITY);
            case NS_SIGMOID -> assertThat(new float[] {low, high}).containsExactly(0.5f, 1);
            case TWO_SIGMOID -> assertThat(new float[] {low, high}).containsExactly(0, 2);
            case TANH -> assertThat(new float[] {low, high}).containsExactly(-1, 1);
        }
        assertThat(activation.apply(Float.NaN)).isNaN();
    }
}
