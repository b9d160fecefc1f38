package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.GradientSample;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Wrong operands of a backward call: each is refused with a sentence that names it and both values, and nothing is written. */
class BackwardRefusalTest {
    private static final Setting SETTING = Setting.causal(16)
            .withGate(Activation.SIGMOID, Combination.MULTIPLY)
            .withPre(Setting.Pre.RMS_NORM, 1e-5f);
    private static final Sample.Shape SHAPE = new Sample.Shape(2, 5, 9, 4, 2, 16, 24);

    static Stream<Target> backends() {
        return Target.backends();
    }

    /** A call that would be right. */
    private static GradientSample valid(Arena arena, DataType type, Target target) {
        Sample sample = Sample.of(arena, SETTING, type, SHAPE);
        Tensor sink = Tensor.copyOf(arena, DataType.F32, new float[] {1, 2, 3, 4}, 4);
        return GradientSample.of(arena, sample.with(sample.operands().withSink(sink)), target);
    }

    private static void refused(GradientSample valid, Target target, BackwardOperands wrong, String... parts) {
        refused(valid, target, wrong, IllegalArgumentException.class, parts);
    }

    private static void refused(
            GradientSample valid, Target target, BackwardOperands wrong, Class<?> type, String... parts) {
        byte[] untouched = valid.bytes();
        try (GatedAttention attention = valid.builder(target).build()) {
            assertThatThrownBy(() -> attention.backward(wrong))
                    .isInstanceOf(type)
                    .hasMessageMatching("[^\\n]+")
                    .satisfies(e -> assertThat(e.getMessage()).contains(parts));
        }
        assertThat(valid.bytes()).isEqualTo(untouched);
    }

    private static BackwardOperands withForward(BackwardOperands o, Operands forward) {
        return new BackwardOperands(
                forward, o.dOut(), null, o.dQ(), o.dK(), o.dV(), o.dGate(), o.dNormWeight(), o.dSink());
    }

    private static BackwardOperands withDOut(BackwardOperands o, Tensor dOut) {
        return new BackwardOperands(
                o.forward(), dOut, null, o.dQ(), o.dK(), o.dV(), o.dGate(), o.dNormWeight(), o.dSink());
    }

    @ParameterizedTest
    @MethodSource("backends")
    void shapes(Target target) {
        try (Arena arena = Arena.ofShared()) {
            GradientSample valid = valid(arena, DataType.F32, target);
            BackwardOperands o = valid.operands();
            refused(valid, target, withDOut(o, f32(arena, 2, 5, 4, 16)), "dOut has 16 elements on axis 3", "24");
            refused(valid, target, withDOut(o, f32(arena, 2, 6, 4, 24)), "dOut has 6 queries on axis 1", "5");
            refused(valid, target, withDOut(o, f32(arena, 10, 4, 24)), "dOut has 3 axes", "4");
            refused(valid, target, o.withUngated(f32(arena, 1, 5, 4, 24)), "ungated has 1 sequences on axis 0", "2");
            refused(valid, target, o.withDQ(f32(arena, 2, 5, 4, 24)), "dQ has 24 elements on axis 3", "q is 16");
            refused(valid, target, o.withDK(f32(arena, 2, 9, 4, 16)), "dK has 4 elements on axis 2", "k is 2");
            refused(valid, target, o.withDV(f32(arena, 2, 8, 2, 24)), "dV has 8 elements on axis 1", "v is 9");
            refused(valid, target, o.withDV(f32(arena, 2, 9, 24)), "dV has 3 axes", "4");
            refused(
                    valid,
                    target,
                    o.withDGate(f32(arena, 2, 5, 1, 24)),
                    "dGate has 1 elements on axis 2",
                    "gate has 4");
            refused(valid, target, o.withDNormWeight(f32(arena, 4, 1)), "dNormWeight has 1 ", "normWeight has 24");
            refused(valid, target, o.withDSink(f32(arena, 1)), "dSink has 1 elements on axis 0", "sink has 4");
            Operands f = o.forward();
            Operands shared = new Operands(
                    f.q(),
                    f.k(),
                    f.v(),
                    f.gate().slice(2, 0, 1).expand(2, 4),
                    f.out(),
                    f.normWeight(),
                    null,
                    f.lse(),
                    f.sink(),
                    null);
            refused(
                    valid,
                    target,
                    withForward(o, shared),
                    "dGate has 4 elements on axis 2",
                    "gate has 1, shared along it");
            refused(valid, target, withForward(o, f.withLse(f32(arena, 2, 5, 4))), "lse has 5 heads", "4");
            refused(
                    valid,
                    target,
                    withForward(
                            o,
                            new Operands(
                                    f.q(),
                                    f.k(),
                                    f.v(),
                                    f.gate(),
                                    f32(arena, 2, 5, 4, 16),
                                    f.normWeight(),
                                    null,
                                    f.lse(),
                                    f.sink(),
                                    null)),
                    "out has 16 elements on axis 3",
                    "24");
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void whatIsNotThere(Target target) {
        try (Arena arena = Arena.ofShared()) {
            GradientSample valid = valid(arena, DataType.F32, target);
            BackwardOperands o = valid.operands();
            refused(valid, target, withForward(o, o.forward().withLse(null)), "lse is null", "withLse");
            refused(valid, target, withForward(o, o.forward().withSink(null)), "dSink is a", "no sink", "null");
            refused(valid, target, withForward(o, o.forward().withNormWeight(null)), "dNormWeight", "no normWeight");
            refused(valid, target, BackwardOperands.of(o.forward(), o.dOut()), "dQ, dK, dV", "all null");
            assertThatThrownBy(() -> BackwardOperands.of(o.forward(), null))
                    .isInstanceOf(NullPointerException.class)
                    .hasMessage("dOut is null");
            assertThatThrownBy(() -> BackwardOperands.of(null, o.dOut()))
                    .isInstanceOf(NullPointerException.class)
                    .hasMessage("forward is null");
            try (GatedAttention attention = valid.builder(target).build()) {
                assertThatThrownBy(() -> attention.backward(null))
                        .isInstanceOf(NullPointerException.class)
                        .hasMessage("operands is null");
            }
            try (GatedAttention plain = valid.builder(target).gate(Gate.none()).build()) {
                Operands f = o.forward();
                Operands ungated = new Operands(f.q(), f.k(), f.v(), null, f.out(), null, null, f.lse(), null, null);
                BackwardOperands wrong = BackwardOperands.of(ungated, o.dOut()).withDGate(o.dGate());
                assertThatThrownBy(() -> plain.backward(wrong))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageContaining("dGate is a")
                        .hasMessageContaining("no gate");
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void typesAndStrides(Target target) {
        try (Arena arena = Arena.ofShared()) {
            GradientSample valid = valid(arena, DataType.BF16, target);
            BackwardOperands o = valid.operands();
            refused(valid, target, withDOut(o, f32(arena, 2, 5, 4, 24)), "dOut is F32", "BF16");
            refused(
                    valid,
                    target,
                    o.withUngated(Tensor.allocate(arena, DataType.F16, 2, 5, 4, 24)),
                    "ungated is F16",
                    "BF16");
            refused(valid, target, o.withDQ(Tensor.allocate(arena, DataType.F16, 2, 5, 4, 16)), "dQ is F16", "BF16");
            refused(
                    valid,
                    target,
                    o.withDGate(Tensor.allocate(arena, DataType.I32, 2, 5, 4, 24)),
                    "dGate is I32",
                    "gate, which is BF16");
            refused(
                    valid,
                    target,
                    o.withDNormWeight(Tensor.allocate(arena, DataType.BF16, 4, 24)),
                    "dNormWeight is BF16",
                    "F32");
            refused(valid, target, o.withDQ(f32(arena, 2, 5, 16, 4).transpose(2, 3)), "dQ has stride 4 on axis 3");
            refused(
                    valid,
                    target,
                    o.withDGate(f32(arena, 2, 5, 24, 4).transpose(2, 3)),
                    "dGate has stride 4 on axis 3");
            MemorySegment memory = arena.allocate(1 << 16, 64);
            long[] shape = {2, 5, 4, 16};
            refused(
                    valid,
                    target,
                    o.withDQ(Tensor.of(memory, DataType.F32, shape, new long[] {320, 64, 0, 1})),
                    "dQ is a",
                    "share memory");
            refused(valid, target, o.withDQ(Tensor.of(memory.asReadOnly(), DataType.F32, shape)), "dQ is read-only");
            refused(valid, target, withDOut(o, o.dOut().slice(0, 0, 1).expand(0, 2)), "dOut has stride 0 on axis 0");
            assertThatThrownBy(() -> Tensor.of(MemorySegment.ofArray(new float[640]), DataType.F32, shape))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessageContaining("heap");
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void overlaps(Target target) {
        try (Arena arena = Arena.ofShared()) {
            GradientSample valid = valid(arena, DataType.F32, target);
            BackwardOperands o = valid.operands();
            Operands f = o.forward();
            refused(valid, target, o.withDQ(f.q()), "dQ", "overlaps q", "must lie apart");
            refused(valid, target, o.withDK(f.k()), "dK", "overlaps k");
            refused(valid, target, o.withDV(f.v()), "dV", "overlaps v");
            refused(valid, target, o.withDGate(f.out()), "dGate", "overlaps out");
            refused(valid, target, o.withDGate(o.dOut()), "dGate", "overlaps dOut");
            refused(valid, target, o.withDSink(f.sink()), "dSink", "overlaps sink");
            refused(valid, target, o.withDNormWeight(f.normWeight()), "dNormWeight", "overlaps normWeight");
            Tensor both = f32(arena, 2, 9, 2, 40);
            refused(valid, target, o.withDK(both.slice(3, 0, 16)).withDV(both.slice(3, 8, 32)), "dV", "overlaps dK");
            Tensor inGate = o.forward().gate();
            Operands inPlace =
                    new Operands(f.q(), f.k(), f.v(), inGate, inGate, f.normWeight(), null, f.lse(), f.sink(), null);
            refused(valid, target, withForward(o, inPlace), "out overlaps gate", "overwrote");
            // Beside each other in one buffer is apart.
            try (GatedAttention attention =
                    valid.builder(target).backend(Backend.java()).build()) {
                attention.backward(o.withDK(both.slice(3, 0, 16)).withDV(both.slice(3, 16, 40)));
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void whatHasNoBackwardPass(Target target) {
        try (Arena arena = Arena.ofShared()) {
            GradientSample valid = valid(arena, DataType.F32, target);
            BackwardOperands o = valid.operands();
            Operands f = o.forward();
            Tensor pages = Tensor.copyOf(arena, DataType.I32, new int[] {0, 1}, 2, 1);
            Tensor lengths = Tensor.copyOf(arena, DataType.I32, new int[] {9, 9}, 2);
            refused(
                    valid,
                    target,
                    withForward(o, f.withSequences(Sequences.paged(pages, lengths))),
                    UnsupportedOperationException.class,
                    "blockTable",
                    "paged");
            Tensor keys = Tensor.allocate(arena, DataType.BF16, f.k().shape());
            Tensor values = Tensor.allocate(arena, DataType.BF16, f.v().shape());
            Operands narrower =
                    Operands.of(f.q(), keys, values, f.gate(), f.out()).withLse(f.lse());
            refused(valid, target, withForward(o, narrower), UnsupportedOperationException.class, "BF16", "F32");
            Gate rounding =
                    Gate.elementwise(Activation.SIGMOID).withRmsNorm(1e-5f).withRoundBeforeGate(true);
            try (GatedAttention attention = valid.builder(target).gate(rounding).build()) {
                assertThatThrownBy(() -> attention.backward(o))
                        .isInstanceOf(UnsupportedOperationException.class)
                        .hasMessageContaining("rounded before");
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void lengthsOutOfRange(Target target) {
        try (Arena arena = Arena.ofShared()) {
            GradientSample valid = valid(arena, DataType.F32, target);
            BackwardOperands o = valid.operands();
            Tensor lengths = Tensor.copyOf(arena, DataType.I32, new int[] {9, 10}, 2);
            refused(
                    valid,
                    target,
                    withForward(o, o.forward().withKeyLengths(lengths)),
                    "keyLengths[1] is 10, but must be 0 to 9, the keys of k");
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void closedAndConfined(Target target) throws InterruptedException {
        try (Arena arena = Arena.ofConfined()) {
            GradientSample valid = valid(arena, DataType.F32, target);
            BackwardOperands o = valid.operands();
            byte[] untouched = valid.bytes();
            GatedAttention attention = valid.builder(target).build();
            Throwable[] thrown = {null};
            Thread other = Thread.ofPlatform().start(() -> {
                try {
                    attention.backward(o);
                } catch (WrongThreadException e) {
                    thrown[0] = e;
                }
            });
            other.join();
            assertThat(thrown[0]).isInstanceOf(WrongThreadException.class);
            Arena shortLived = Arena.ofShared();
            Tensor dQ = Tensor.allocate(shortLived, DataType.F32, o.dQ().shape());
            shortLived.close();
            assertThatThrownBy(() -> attention.backward(o.withDQ(dQ))).isInstanceOf(IllegalStateException.class);
            attention.close();
            assertThatThrownBy(() -> attention.backward(o))
                    .isInstanceOf(IllegalStateException.class)
                    .hasMessageContaining("closed");
            assertThat(valid.bytes()).isEqualTo(untouched);
        }
    }

    private static Tensor f32(Arena arena, long... shape) {
        return Tensor.allocate(arena, DataType.F32, shape);
    }
}
