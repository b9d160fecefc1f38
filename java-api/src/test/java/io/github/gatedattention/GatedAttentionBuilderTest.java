package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatNullPointerException;

import java.util.function.UnaryOperator;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

class GatedAttentionBuilderTest {

    private static GatedAttention.Builder valid() {
        return GatedAttention.builder().backend(Backend.java()).queryHeads(4).headDim(64);
    }

    private static Arguments wrong(UnaryOperator<GatedAttention.Builder> change, String message) {
        return Arguments.of(change, message);
    }

    static Stream<Arguments> wrongSettings() {
        return Stream.of(
                wrong(b -> b.queryHeads(0), "queryHeads is 0, but must be 1 to 1048576"),
                wrong(b -> b.queryHeads(-4), "queryHeads is -4, but must be 1 to 1048576"),
                wrong(b -> b.keyValueHeads(0), "keyValueHeads is 0, but must be 1 to 1048576"),
                wrong(b -> b.keyValueHeads(3), "queryHeads is 4, which is no multiple of keyValueHeads, 3"),
                wrong(b -> b.keyValueHeads(8), "queryHeads is 4, which is no multiple of keyValueHeads, 8"),
                wrong(b -> b.headDim(0), "headDim is 0, but must be a multiple of 8 from 8 to 512"),
                wrong(b -> b.headDim(60), "headDim is 60, but must be a multiple of 8 from 8 to 512"),
                wrong(b -> b.headDim(520), "headDim is 520, but must be a multiple of 8 from 8 to 512"),
                wrong(b -> b.valueHeadDim(-8), "valueHeadDim is -8, but must be a multiple of 8 from 8 to 512"),
                wrong(b -> b.dataType(DataType.I32), "dataType is I32, but must be F32, BF16 or F16"),
                wrong(b -> b.scale(Float.NaN), "scale is NaN, but must be finite"),
                wrong(b -> b.scale(Float.POSITIVE_INFINITY), "scale is Infinity, but must be finite"),
                wrong(b -> b.threads(0), "threads is 0, but must be 1 to 1024"),
                wrong(b -> b.threads(1025), "threads is 1025, but must be 1 to 1024"));
    }

    @ParameterizedTest
    @MethodSource("wrongSettings")
    void wrongSettingsAreNamedWithBothNumbers(UnaryOperator<GatedAttention.Builder> change, String message) {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> change.apply(valid()).build())
                .withMessage(message);
    }

    @Test
    void theDefaultIsThePapersGate() {
        try (GatedAttention attention = valid().build()) {
            assertThat(attention.toString())
                    .contains("keyValueHeads=4", "valueHeadDim=64", "dataType=F32", "gate=elementwise sigmoid multiply")
                    .contains("mask=none", "scale=0.125");
            assertThat(attention.threads()).isEqualTo(Runtime.getRuntime().availableProcessors());
            assertThat(attention.backend()).isSameAs(Backend.java());
        }
    }

    @Test
    void nullIsNamed() {
        assertThatNullPointerException().isThrownBy(() -> valid().gate(null)).withMessage("gate is null");
        assertThatNullPointerException().isThrownBy(() -> valid().mask(null)).withMessage("mask is null");
        assertThatNullPointerException()
                .isThrownBy(() -> valid().dataType(null))
                .withMessage("dataType is null");
        assertThatNullPointerException().isThrownBy(() -> valid().backend(null)).withMessage("backend is null");
    }

    @Test
    void backendsSayWhetherTheyCanBeUsed() {
        assertThat(Backend.java().isAvailable()).isTrue();
        assertThat(Backend.java().unavailableReason()).isNull();
        assertThat(Backend.cpu().isAvailable()).isEqualTo(Backend.cpu().unavailableReason() == null);
        assertThat(Backend.best().isAvailable()).isTrue();
        assertThat(Backend.cpu().slowReason()).isNull();
        assertThat(Backend.cpu().name()).isEqualTo("cpu");
        assertThat(Backend.java()).hasToString("java");
    }
}
