package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatNullPointerException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** What a call refuses: every case leaves the outputs as they were. B 2, Sq 3, Sk 5, Hq 4, Hkv 2, D 16, Dv 8. */
class OperandsTest {
    private final Arena arena = Arena.ofShared();

    private final Tensor q = filled(2, 3, 4, 16);
    private final Tensor k = filled(2, 5, 2, 16);
    private final Tensor v = filled(2, 5, 2, 8);
    private final Tensor gate = filled(2, 3, 4, 8);
    private final Tensor out = filled(2, 3, 4, 8);
    private final Operands valid = Operands.of(q, k, v, gate, out);

    @AfterEach
    void close() {
        arena.close();
    }

    private Tensor filled(long... shape) {
        return filled(DataType.F32, shape);
    }

    private Tensor filled(DataType type, long... shape) {
        float[] values = new float[(int) TensorLayout.elements(shape)];
        Arrays.fill(values, 0.5f);
        return Tensor.copyOf(arena, type, values, shape);
    }

    static Stream<Backend> backends() {
        return Stream.of(Backend.java(), Backend.cpu()).filter(Backend::isAvailable);
    }

    private static GatedAttention attention(Backend backend, Gate gate) {
        return GatedAttention.builder()
                .backend(backend)
                .queryHeads(4)
                .keyValueHeads(2)
                .headDim(16)
                .valueHeadDim(8)
                .gate(gate)
                .threads(2)
                .build();
    }

    private void assertRefused(Backend backend, Gate setting, Operands operands, String message) {
        float[] before = operands.out().toFloatArray();
        try (GatedAttention attention = attention(backend, setting)) {
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> attention.forward(operands))
                    .withMessageContaining(message);
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> attention.prepare(operands).run())
                    .withMessageContaining(message);
        }
        assertThat(operands.out().toFloatArray()).isEqualTo(before);
    }

    private void assertRefused(Backend backend, Operands operands, String message) {
        assertRefused(backend, Gate.elementwise(Activation.SIGMOID), operands, message);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void shapesThatDoNotFit(Backend backend) {
        assertRefused(
                backend,
                Operands.of(filled(2, 3, 3, 16), k, v, gate, out),
                "q has 3 heads on axis 2, but queryHeads is 4");
        assertRefused(
                backend,
                Operands.of(filled(2, 3, 4, 8), k, v, gate, out),
                "q has 8 elements on axis 3, but headDim is 16");
        assertRefused(
                backend,
                Operands.of(filled(2, 3, 64), k, v, gate, out),
                "q has 3 axes, but must have 4; it is a Tensor[F32 tensor of shape [2, 3, 64]]");
        assertRefused(
                backend,
                Operands.of(q, filled(2, 5, 3, 16), v, gate, out),
                "k has 3 heads on axis 2, but keyValueHeads is 2");
        assertRefused(
                backend,
                Operands.of(q, filled(1, 5, 2, 16), v, gate, out),
                "k has 1 sequences on axis 0, but the batch of q is 2");
        assertRefused(
                backend,
                Operands.of(q, k, filled(2, 4, 2, 8), gate, out),
                "v has 4 keys on axis 1, but the number of keys of k is 5");
        assertRefused(
                backend,
                Operands.of(q, k, v, gate, filled(2, 3, 4, 16)),
                "out has 16 elements on axis 3, but valueHeadDim is 8");
        assertRefused(
                backend,
                Operands.of(q, k, v, filled(2, 3, 2, 8), out),
                "gate has 2 heads on axis 2, but must have 1 or as many as queryHeads, which is 4");
        assertRefused(
                backend,
                Operands.of(q, k, v, filled(2, 3, 4, 1), out),
                "gate has 1 elements on axis 3, but valueHeadDim of an elementwise gate is 8");
        assertRefused(backend, valid.withLse(filled(2, 3, 4)), "lse has 3 heads on axis 1, but queryHeads is 4");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void gatesThatDoNotFitTheSetting(Backend backend) {
        assertRefused(backend, Operands.of(q, k, v, null, out), "gate is null, but the attention was built with gate");
        assertRefused(backend, Gate.none(), valid, "built with Gate.none(); pass null");
        assertRefused(
                backend,
                Gate.headwise(Activation.SIGMOID),
                valid,
                "gate has 8 elements on axis 3, but a headwise gate has 1");
        assertRefused(backend, valid.withNormWeight(filled(4, 8)), "without RMSNorm");
        assertRefused(
                backend,
                Gate.elementwise(Activation.TANH).withRmsNorm(0),
                valid.withNormWeight(filled(2, 8)),
                "normWeight has 2 heads on axis 0, but must have 1 or as many as queryHeads, which is 4");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void typesThatDoNotFit(Backend backend) {
        assertRefused(
                backend,
                Operands.of(filled(DataType.BF16, 2, 3, 4, 16), k, v, gate, out),
                "q is BF16, but the attention's dataType is F32");
        assertRefused(backend, valid.withKeyLengths(filled(2)), "keyLengths is F32, but must be I32");
        assertRefused(backend, valid.withLse(filled(DataType.BF16, 2, 4, 3)), "lse is BF16, but must be F32");
        assertRefused(
                backend,
                Operands.of(q, k, v, Tensor.allocate(arena, DataType.I32, 2, 3, 4, 8), out),
                "gate is I32, but must be F32, BF16 or F16");
    }

    /** Whole numbers with their scales, which a call takes in the place of k and v. */
    private Operands wholeNumbers() {
        return Operands.of(
                        q,
                        Tensor.allocate(arena, DataType.I8, 2, 5, 2, 16),
                        Tensor.allocate(arena, DataType.I8, 2, 5, 2, 8),
                        gate,
                        out)
                .withScales(new Scales(filled(2, 5, 2), filled(2, 5, 2)));
    }

    private Operands withScales(Tensor keys, Tensor values) {
        return wholeNumbers().withScales(new Scales(keys, values));
    }

    @ParameterizedTest
    @MethodSource("backends")
    void keyTypesAndScalesThatDoNotFit(Backend backend) {
        Tensor whole = wholeNumbers().k();
        Tensor scales = filled(2, 5, 2);
        assertRefused(
                backend, wholeNumbers().withScales(null), "k is I8, but there are no scales; give them with Operands");
        assertRefused(
                backend,
                valid.withScales(new Scales(scales, scales)),
                "scales are given, but k is F32; only I8 keys and values have scales");
        assertRefused(
                backend,
                Operands.of(q, whole, v, gate, out).withScales(new Scales(scales, scales)),
                "v is F32, but must be I8, the type of k");
        assertRefused(
                backend,
                Operands.of(q, filled(DataType.F16, 2, 5, 2, 16), v, gate, out),
                "v is F32, but must be F16, the type of k");
        assertRefused(
                backend,
                Operands.of(q, Tensor.allocate(arena, DataType.I32, 2, 5, 2, 16), v, gate, out),
                "k is I32, but the attention's dataType is F32; keys are F32, BF16, F16 or I8 then");
        assertRefused(backend, Operands.of(whole, k, v, gate, out), "q is I8, but the attention's dataType is F32");
        assertRefused(
                backend,
                Operands.of(q, k, v, gate, Tensor.allocate(arena, DataType.F16, 2, 3, 4, 8)),
                "out is F16, but the attention's dataType is F32");
        assertRefused(
                backend,
                Operands.of(q, k, v, Tensor.allocate(arena, DataType.I8, 2, 3, 4, 8), out),
                "gate is I8, but must be F32, BF16 or F16");
        assertRefused(
                backend,
                valid.withSink(Tensor.allocate(arena, DataType.I8, 4)),
                "sink is I8, but must be F32, BF16 or F16");
        assertRefused(
                backend,
                valid.withKeyLengths(Tensor.allocate(arena, DataType.I8, 2)),
                "keyLengths is I8, but must be I32");
        assertRefused(backend, withScales(filled(DataType.F16, 2, 5, 2), scales), "keyScales is F16, but must be F32");
        assertRefused(
                backend,
                withScales(scales, filled(2, 5, 2, 1)),
                "valueScales has 4 axes, but must have 3; it is a Tensor[F32 tensor of shape [2, 5, 2, 1]]");
        assertRefused(
                backend,
                withScales(filled(1, 5, 2), scales),
                "keyScales has 1 sequences on axis 0, but axis 0 of k is 2");
        assertRefused(
                backend,
                withScales(scales, filled(2, 4, 2)),
                "valueScales has 4 keys on axis 1, but the number of keys of k is 5");
        assertRefused(
                backend,
                withScales(filled(2, 5, 4), scales),
                "keyScales has 4 heads on axis 2, but keyValueHeads is 2");
        assertRefused(
                backend,
                withScales(filled(2, 5, 1).expand(2, 2), scales),
                "keyScales has stride 0 on axis 2 of 2 elements");
        Tensor inOut = Tensor.of(out.segment(), DataType.F32, 2, 5, 2);
        assertRefused(backend, withScales(inOut, scales), "overlaps keyScales");
        assertRefused(backend, withScales(scales, inOut), "overlaps valueScales");
        Tensor lse = filled(2, 4, 3);
        assertRefused(
                backend,
                withScales(Tensor.of(lse.segment(), DataType.F32, 2, 5, 2), scales)
                        .withLse(lse),
                "overlaps keyScales");
    }

    /** Under 16-bit queries keys are of the same type, or whole. */
    @ParameterizedTest
    @MethodSource("backends")
    void keysUnderSixteenBitQueries(Backend backend) {
        try (GatedAttention attention = GatedAttention.builder()
                .backend(backend)
                .queryHeads(4)
                .keyValueHeads(2)
                .headDim(16)
                .valueHeadDim(8)
                .dataType(DataType.BF16)
                .gate(Gate.none())
                .build()) {
            Tensor sixteen = filled(DataType.BF16, 2, 3, 4, 16);
            Tensor result = filled(DataType.BF16, 2, 3, 4, 8);
            Tensor half = filled(DataType.F16, 2, 5, 2, 16);
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> attention.forward(sixteen, half, filled(DataType.F16, 2, 5, 2, 8), null, result))
                    .withMessage("k is F16, but the attention's dataType is BF16; keys are BF16 or I8 then");
            assertThatIllegalArgumentException()
                    .isThrownBy(() -> attention.forward(sixteen, k, v, null, result))
                    .withMessage("k is F32, but the attention's dataType is BF16; keys are BF16 or I8 then");
            Operands whole = wholeNumbers();
            attention.forward(
                    Operands.of(sixteen, whole.k(), whole.v(), null, result).withScales(whole.scales()));
            assertThat(result.toFloatArray()).containsOnly(0);
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void scalesWhoseArenaIsClosed(Backend backend) {
        try (GatedAttention attention = attention(backend, Gate.elementwise(Activation.SIGMOID))) {
            PreparedForward prepared;
            Operands operands;
            try (Arena shortLived = Arena.ofShared()) {
                Tensor gone = Tensor.allocate(shortLived, DataType.F32, 2, 5, 2);
                operands = withScales(filled(2, 5, 2), gone);
                prepared = attention.prepare(operands);
                prepared.run();
                attention.forward(operands);
            }
            assertThatThrownBy(prepared::run).isInstanceOf(IllegalStateException.class);
            Operands closed = operands;
            assertThatThrownBy(() -> attention.forward(closed)).isInstanceOf(IllegalStateException.class);
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void stridesThatDoNotFit(Backend backend) {
        assertRefused(
                backend,
                Operands.of(filled(2, 3, 16, 4).transpose(2, 3), k, v, gate, out),
                "q has stride 4 on axis 3, but the last axis must be contiguous, with stride 1");
        assertRefused(
                backend,
                Operands.of(q, filled(1, 5, 2, 16).expand(0, 2), v, gate, out),
                "k has stride 0 on axis 0 of 2 elements");
        assertRefused(
                backend,
                Operands.of(q, k, v, gate, filled(1, 3, 4, 8).expand(0, 2)),
                "where several elements share memory");
        Tensor woven =
                Tensor.of(arena.allocate(4096, 64), DataType.F32, new long[] {2, 3, 4, 8}, new long[] {96, 32, 4, 1});
        assertRefused(backend, Operands.of(q, k, v, gate, woven), "where several elements share memory");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void keyLengthsOutsideTheCache(Backend backend) {
        Tensor tooLong = Tensor.copyOf(arena, DataType.I32, new int[] {5, 6}, 2);
        Tensor negative = Tensor.copyOf(arena, DataType.I32, new int[] {-1, 5}, 2);

        assertRefused(backend, valid.withKeyLengths(tooLong), "keyLengths[1] is 6, but must be 0 to 5");
        assertRefused(backend, valid.withKeyLengths(negative), "keyLengths[0] is -1, but must be 0 to 5");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void outputsThatMayNotBeWritten(Backend backend) {
        Tensor readOnly = Tensor.of(out.segment().asReadOnly(), DataType.F32, 2, 3, 4, 8);

        assertRefused(backend, Operands.of(q, k, v, gate, readOnly), "out is read-only");
        assertRefused(
                backend,
                valid.withLse(Tensor.of(filled(24).segment().asReadOnly(), DataType.F32, 2, 4, 3)),
                "lse is read-only");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void outputsThatOverlapInputs(Backend backend) {
        Tensor buffer = filled(4096);
        Tensor inV = buffer.slice(0, 0, 160).reshape(2, 5, 2, 8);
        Tensor onV = buffer.slice(0, 159, 351).reshape(2, 3, 4, 8);
        Tensor shifted = Tensor.of(buffer.segment().asSlice(4 * 1001), DataType.F32, 2, 3, 4, 8);
        Tensor gateThere = Tensor.of(buffer.segment().asSlice(4 * 1000), DataType.F32, 2, 3, 4, 8);

        assertRefused(backend, Operands.of(q, k, inV, gate, onV), "must lie apart from it");
        assertRefused(
                backend, Operands.of(q, k, v, gateThere, shifted), "may only be exactly the same view or lie apart");
        assertRefused(
                backend,
                valid.withLse(Tensor.of(out.segment(), DataType.F32, 2, 4, 3)),
                "lse (Tensor[F32 tensor of shape [2, 4, 3]]");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void columnsOfOneProjectionAreApartAndInPlaceIsAllowed(Backend backend) {
        // [q 8 | gate 8 | out 8] per head, D = Dv = 8.
        try (GatedAttention attention = GatedAttention.builder()
                .backend(backend)
                .queryHeads(4)
                .keyValueHeads(2)
                .headDim(8)
                .threads(2)
                .build()) {
            Tensor packed = filled(2, 3, 4, 24);
            List<Tensor> columns = packed.split(3, 8, 8, 8);
            Tensor keys = filled(2, 5, 2, 8);
            attention.forward(columns.get(0), keys, v, columns.get(1), columns.get(2));
            float[] apart = columns.get(2).toFloatArray();
            assertThat(apart).doesNotContain(0.5f);
            Tensor copy = Tensor.allocate(arena, DataType.F32, 2, 3, 4, 8);
            copy.copyFrom(columns.get(0));
            attention.forward(copy, keys, v, columns.get(1), columns.get(1));
            assertThat(columns.get(1).toFloatArray()).isEqualTo(apart);
            columns.get(1).copyFrom(copy);
            attention.forward(columns.get(0), keys, v, columns.get(1), columns.get(0));
            assertThat(columns.get(0).toFloatArray()).isEqualTo(apart);
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void closedThingsAreIllegalStates(Backend backend) {
        GatedAttention attention = attention(backend, Gate.elementwise(Activation.SIGMOID));
        Tensor gone;
        PreparedForward prepared;
        try (Arena shortLived = Arena.ofShared()) {
            gone = Tensor.allocate(shortLived, DataType.F32, 2, 3, 4, 16);
            prepared = attention.prepare(Operands.of(gone, k, v, gate, out));
            prepared.run();
        }
        assertThatThrownBy(prepared::run).isInstanceOf(IllegalStateException.class);
        assertThatThrownBy(() -> attention.forward(gone, k, v, gate, out)).isInstanceOf(IllegalStateException.class);
        attention.forward(valid);
        attention.close();
        attention.close();
        assertThatThrownBy(() -> attention.forward(valid))
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("this GatedAttention is closed; build another one");
        assertThatThrownBy(prepared::run).hasMessageContaining("closed");
        assertThatThrownBy(() -> attention.explain(q, k)).hasMessageContaining("closed");
        assertThatThrownBy(() -> attention.prepare(valid)).hasMessageContaining("closed");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void plansCountTheWork(Backend backend) {
        try (GatedAttention attention = attention(backend, Gate.elementwise(Activation.SIGMOID))) {
            Plan plan = attention.explain(q, k);

            assertThat(plan.backend()).isEqualTo(backend.name());
            assertThat(plan.flop()).isEqualTo(2L * (16 + 8) * 2 * 4 * 3 * 5);
            assertThat(plan.bytes()).isEqualTo(4L * (384 + 320 + 160 + 192 + 192));
            assertThat(plan.threads()).isEqualTo(2);
            assertThat(plan.toString()).contains(plan.kernel(), "2 threads");
            assertThat(attention.explain(valid)).isEqualTo(plan);

            Operands whole = wholeNumbers();
            Plan ofWhole = attention.explain(q, whole.k());
            assertThat(ofWhole.bytes()).isEqualTo(4L * (384 + 192 + 192) + 320 + 160 + 2 * 4 * 20);
            assertThat(attention.explain(whole)).isEqualTo(ofWhole);
        }
    }

    @Test
    void nullIsNamed() {
        assertThatNullPointerException()
                .isThrownBy(() -> Operands.of(null, k, v, gate, out))
                .withMessage("q is null");
        assertThatNullPointerException()
                .isThrownBy(() -> Operands.of(q, k, v, gate, null))
                .withMessage("out is null");
        assertThatNullPointerException().isThrownBy(() -> new Scales(null, q)).withMessage("keyScales is null");
        assertThatNullPointerException().isThrownBy(() -> new Scales(q, null)).withMessage("valueScales is null");
    }
}
