package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.concurrent.atomic.AtomicReference;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Wrong operands: each is refused with one sentence that names the argument and both values, and nothing is written. */
class BadInputsTest {
    private static final Sample.Shape SHAPE = new Sample.Shape(2, 5, 9, 4, 2, 16, 16);
    private static final Setting GATED = Setting.causal(16).withGate(Activation.SIGMOID, Combination.MULTIPLY);

    private final Arena arena = Arena.ofShared();
    private final Sample sample = Sample.of(arena, GATED, DataType.F32, SHAPE);
    private final Operands good = sample.operands();
    private final byte[] untouched = sample.outputBytes();

    @AfterEach
    void nothingIsHalfDone() {
        try (arena) {
            assertThat(sample.outputBytes()).isEqualTo(untouched);
        }
    }

    static Stream<Target> backends() {
        return Target.backends();
    }

    /** Calls in each of the four ways; all refuse. */
    private void refused(Target target, Operands operands, Class<? extends Exception> type, String... parts) {
        try (GatedAttention attention = sample.builder(target).build()) {
            refused(() -> attention.forward(operands), type, parts);
            refused(() -> attention.prepare(operands).run(), type, parts);
            if (operands.equals(
                    Operands.of(operands.q(), operands.k(), operands.v(), operands.gate(), operands.out()))) {
                refused(
                        () -> attention.forward(
                                operands.q(), operands.k(), operands.v(), operands.gate(), operands.out()),
                        type,
                        parts);
            }
        }
    }

    private static void refused(ThrowingCallable call, Class<? extends Exception> type, String... parts) {
        assertThatThrownBy(call)
                .isInstanceOf(type)
                .hasMessageMatching("[^\\n]+")
                .satisfies(e -> assertThat(e.getMessage()).contains(parts));
    }

    private void refused(Target target, Operands operands, String... parts) {
        refused(target, operands, IllegalArgumentException.class, parts);
    }

    private Tensor f32(long... shape) {
        return Tensor.allocate(arena, DataType.F32, shape);
    }

    private Operands withQ(Tensor q) {
        return Operands.of(q, good.k(), good.v(), good.gate(), good.out());
    }

    private Operands withK(Tensor k) {
        return Operands.of(good.q(), k, good.v(), good.gate(), good.out());
    }

    private Operands withV(Tensor v) {
        return Operands.of(good.q(), good.k(), v, good.gate(), good.out());
    }

    private Operands withGate(Tensor gate) {
        return Operands.of(good.q(), good.k(), good.v(), gate, good.out());
    }

    private Operands withOut(Tensor out) {
        return Operands.of(good.q(), good.k(), good.v(), good.gate(), out);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void no83NullWhereMemoryIsNeeded(Target target) {
        try (GatedAttention attention = sample.builder(target).build()) {
            refused(
                    () -> attention.forward(null, good.k(), good.v(), good.gate(), good.out()),
                    NullPointerException.class,
                    "q");
            refused(
                    () -> attention.forward(good.q(), null, good.v(), good.gate(), good.out()),
                    NullPointerException.class,
                    "k");
            refused(
                    () -> attention.forward(good.q(), good.k(), null, good.gate(), good.out()),
                    NullPointerException.class,
                    "v");
            refused(
                    () -> attention.forward(good.q(), good.k(), good.v(), good.gate(), null),
                    NullPointerException.class,
                    "out");
            refused(() -> attention.forward(null), NullPointerException.class, "operands");
            refused(() -> attention.prepare(null), NullPointerException.class, "operands");
        }
        refused(target, withGate(null), "gate is null", "sigmoid");
        MemorySegment nowhere = MemorySegment.NULL.reinterpret(4096);
        refused(() -> Tensor.of(nowhere, DataType.F32, 16), IllegalArgumentException.class, "segment", "address 0");
        refused(() -> Tensor.of(null, DataType.F32, 16), NullPointerException.class, "segment");
        refused(() -> Tensor.of(arena.allocate(64), null, 16), NullPointerException.class, "dataType");
    }

    @Test
    void no84Misaligned() {
        MemorySegment memory = arena.allocate(256, 64);
        refused(() -> Tensor.of(memory.asSlice(2), DataType.F32, 8), IllegalArgumentException.class, "aligned", "4");
        refused(() -> Tensor.of(memory.asSlice(1), DataType.BF16, 8), IllegalArgumentException.class, "aligned", "2");
        refused(() -> Tensor.of(memory.asSlice(3), DataType.F16, 8), IllegalArgumentException.class, "aligned", "2");
        refused(() -> Tensor.of(memory.asSlice(6), DataType.I32, 8), IllegalArgumentException.class, "aligned", "4");
        assertThat(Tensor.of(memory.asSlice(2), DataType.BF16, 8).dim(0)).isEqualTo(8);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void no85ExtentsNegativeHugeOrUnequal(Target target) {
        refused(() -> Tensor.of(arena.allocate(64), DataType.F32, -1), IllegalArgumentException.class, "axis 0", "-1");
        refused(() -> Tensor.allocate(arena, DataType.F32, 2, -3), IllegalArgumentException.class, "axis 1", "-3");
        refused(
                () -> Tensor.allocate(arena, DataType.F32, 1L << 32, 1L << 32),
                IllegalArgumentException.class,
                "4294967296",
                "2^63");
        refused(
                () -> Tensor.of(arena.allocate(64), DataType.F32, 1L << 40, 4),
                IllegalArgumentException.class,
                "64 bytes",
                String.valueOf((1L << 44)));
        refused(target, withQ(f32(2, 5, 3, 16)), "q has 3 heads", "4");
        refused(target, withQ(f32(2, 5, 4, 24)), "q has 24", "16");
        refused(target, withQ(f32(5, 4, 16)), "q has 3 axes", "4");
        refused(target, withK(f32(1, 9, 2, 16)), "k has 1", "2");
        refused(target, withK(f32(2, 9, 4, 16)), "k has 4 heads", "2");
        refused(target, withV(f32(2, 8, 2, 16)), "v has 8", "9");
        refused(target, withV(f32(2, 9, 2, 8)), "v has 8", "16");
        refused(target, withGate(f32(2, 5, 4, 1)), "gate has 1 ", "16");
        refused(target, withGate(f32(2, 5, 2, 16)), "gate has 2 heads", "4");
        refused(target, withGate(f32(3, 5, 4, 16)), "gate has 3", "2");
        refused(target, withGate(f32(2, 4, 4, 16)), "gate has 4", "5");
        refused(target, withOut(f32(2, 5, 4, 8)), "out has 8", "16");
        refused(target, withOut(f32(2, 6, 4, 16)), "out has 6", "5");
        refused(target, good.withLse(f32(2, 5, 4)), "lse has 5 heads", "4");
        refused(target, good.withLse(f32(2, 4, 6)), "lse has 6", "5");
        refused(target, good.withNormWeight(f32(4, 16)), "normWeight", "RMSNorm");
        refused(
                target,
                good.withKeyLengths(Tensor.copyOf(arena, DataType.I32, new int[] {1, 2, 3}, 3)),
                "keyLengths has 3",
                "2");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void typesThatDoNotFit(Target target) {
        refused(target, withQ(Tensor.allocate(arena, DataType.BF16, 2, 5, 4, 16)), "q is BF16", "F32");
        refused(target, withV(Tensor.allocate(arena, DataType.F16, 2, 9, 2, 16)), "v is F16", "F32");
        refused(target, withOut(Tensor.allocate(arena, DataType.I32, 2, 5, 4, 16)), "out is I32", "F32");
        refused(target, withGate(Tensor.allocate(arena, DataType.I32, 2, 5, 4, 16)), "gate is I32", "F32, BF16 or F16");
        refused(target, good.withLse(Tensor.allocate(arena, DataType.BF16, 2, 4, 5)), "lse is BF16", "F32");
        refused(target, good.withKeyLengths(f32(2)), "keyLengths is F32", "I32");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void no86OutputsWhoseElementsShareMemory(Target target) {
        MemorySegment memory = arena.allocate(1 << 16, 64);
        long[] shape = {2, 5, 4, 16};
        refused(target, withOut(Tensor.of(memory, DataType.F32, shape, new long[] {0, 64, 16, 1})), "out", "0");
        refused(target, withOut(Tensor.of(memory, DataType.F32, shape, new long[] {320, 64, 0, 1})), "out", "0");
        refused(target, withOut(Tensor.of(memory, DataType.F32, shape, new long[] {320, 64, 8, 1})), "out", "8");
        refused(target, withOut(Tensor.of(memory, DataType.F32, shape, new long[] {320, 64, 16, 0})), "out", "0");
        refused(target, withOut(Tensor.of(memory, DataType.F32, shape, new long[] {320, 64, 64, 1})), "out", "64");
        refused(
                target,
                good.withLse(Tensor.of(memory, DataType.F32, new long[] {2, 4, 5}, new long[] {20, 0, 1})),
                "lse",
                "0");
        assertThat(memory.toArray(ValueLayout.JAVA_BYTE)).containsOnly(0);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void lastAxisThatIsNotContiguous(Target target) {
        MemorySegment memory = arena.allocate(1 << 16, 64);
        Tensor sparse = Tensor.of(memory, DataType.F32, new long[] {2, 5, 4, 16}, new long[] {640, 128, 32, 2});
        refused(target, withQ(sparse), "q has stride 2 on axis 3", "1");
        refused(target, withGate(sparse), "gate has stride 2 on axis 3", "1");
        refused(target, withOut(sparse), "out has stride 2 on axis 3", "1");
        refused(target, withQ(good.q().transpose(2, 3)), "q has 16 heads", "4");
    }

    @Test
    void no87NegativeStride() {
        refused(
                () -> Tensor.of(arena.allocate(256), DataType.F32, new long[] {2, 4}, new long[] {-4, 1}),
                IllegalArgumentException.class,
                "stride of axis 0",
                "-4");
        refused(
                () -> Tensor.of(arena.allocate(256), DataType.F32, new long[] {2, 4}, new long[] {1}),
                IllegalArgumentException.class,
                "strides has 1",
                "2");
    }

    @Test
    void no88OneByteShort() {
        MemorySegment memory = arena.allocate(64, 64);
        refused(
                () -> Tensor.of(memory.asSlice(0, 63), DataType.F32, 16),
                IllegalArgumentException.class,
                "63 bytes",
                "64");
        refused(
                () -> Tensor.of(memory.asSlice(0, 31), DataType.BF16, 16),
                IllegalArgumentException.class,
                "31 bytes",
                "32");
        refused(
                () -> Tensor.of(memory, DataType.F32, new long[] {3, 4}, new long[] {7, 1}),
                IllegalArgumentException.class,
                "64 bytes",
                "72");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void no89OutputsOverInputs(Target target) {
        Tensor buffer = f32(2, 6, 4, 16);
        Tensor first = buffer.slice(1, 0, 5);
        Tensor second = buffer.slice(1, 1, 6);
        refused(target, Operands.of(first, good.k(), good.v(), good.gate(), second), "out", "overlaps q");
        refused(target, Operands.of(good.q(), good.k(), good.v(), first, second), "out", "overlaps gate");
        Tensor keys = f32(2, 9, 2, 16);
        Tensor overKeys =
                Tensor.of(keys.segment(), DataType.F32, new long[] {2, 2, 4, 16}, new long[] {144, 64, 16, 1});
        Operands twoQueries =
                Operands.of(good.q().slice(1, 0, 2), keys, good.v(), good.gate().slice(1, 0, 2), overKeys);
        refused(target, twoQueries, "out", "overlaps k");
        refused(target, Operands.of(twoQueries.q(), good.k(), keys, twoQueries.gate(), overKeys), "out", "overlaps v");
        refused(target, good.withLse(Tensor.of(good.q().segment(), DataType.F32, 2, 4, 5)), "lse", "overlaps q");
        refused(target, good.withLse(Tensor.of(good.out().segment(), DataType.F32, 2, 4, 5)), "lse", "overlaps out");
        refused(
                target,
                good.withKeyLengths(Tensor.of(good.out().segment(), DataType.I32, 2)),
                "out",
                "overlaps keyLengths");
        assertThat(buffer.toFloatArray()).containsOnly(0);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void no83To89Sinks(Target target) {
        refused(target, good.withSink(f32(4, 1)), "sink has 2 axes", "1");
        refused(target, good.withSink(f32(3)), "sink has 3 heads on axis 0", "queryHeads", "4");
        refused(target, good.withSink(f32(0)), "sink has 0 heads on axis 0", "4");
        refused(target, good.withSink(Tensor.allocate(arena, DataType.I32, 4)), "sink is I32", "F32, BF16 or F16");
        refused(target, good.withSink(Tensor.of(good.out().segment(), DataType.F32, 4)), "out", "overlaps sink");
        refused(target, good.withSink(Tensor.of(good.lse().segment(), DataType.F32, 4)), "lse", "overlaps sink");
        Arena shortLived = Arena.ofShared();
        Operands closed = good.withSink(Tensor.allocate(shortLived, DataType.F32, 4));
        shortLived.close();
        refused(target, closed, IllegalStateException.class, "losed");
    }

    /** Interleaved views share a span but no element, and are welcome. */
    @ParameterizedTest
    @MethodSource("backends")
    void no89InterleavedViewsDoNotOverlap(Target target) {
        Tensor packed = f32(2, 5, 4, 48);
        packed.split(3, 16, 16, 16).get(1).copyFrom(good.gate());
        packed.split(3, 16, 16, 16).get(0).copyFrom(good.q());
        Tensor out = packed.split(3, 16, 16, 16).get(2);
        Tensor apart = f32(2, 5, 4, 16);
        try (GatedAttention attention = sample.builder(target).build()) {
            attention.forward(good.q(), good.k(), good.v(), good.gate(), apart);
            attention.forward(
                    packed.split(3, 16, 16, 16).get(0),
                    good.k(),
                    good.v(),
                    packed.split(3, 16, 16, 16).get(1),
                    out);
        }
        assertThat(out.toFloatArray()).isEqualTo(apart.toFloatArray());
        assertThat(packed.slice(3, 0, 16).toFloatArray()).isEqualTo(good.q().toFloatArray());
    }

    @ParameterizedTest
    @MethodSource("backends")
    void no90HeadsThatDoNotDivide(Target target) {
        refused(
                () -> sample.builder(target).queryHeads(5).build(),
                IllegalArgumentException.class,
                "queryHeads is 5",
                "2");
        refused(
                () -> sample.builder(target).keyValueHeads(0).build(),
                IllegalArgumentException.class,
                "keyValueHeads is 0",
                "1");
        refused(() -> sample.builder(target).headDim(12).build(), IllegalArgumentException.class, "headDim is 12", "8");
        refused(
                () -> sample.builder(target).headDim(520).build(),
                IllegalArgumentException.class,
                "headDim is 520",
                "512");
        refused(
                () -> sample.builder(target).valueHeadDim(0).build(),
                IllegalArgumentException.class,
                "valueHeadDim is 0",
                "8");
        refused(
                () -> sample.builder(target).threads(0).build(),
                IllegalArgumentException.class,
                "threads is 0",
                "1024");
        refused(
                () -> sample.builder(target).dataType(DataType.I32).build(),
                IllegalArgumentException.class,
                "dataType is I32",
                "F32");
    }

    /** Of inputs 91 and 92 the part there is: a sequence that is longer than its cache, or of negative length. */
    @ParameterizedTest
    @MethodSource("backends")
    void no91And92KeyLengthsOutsideTheCache(Target target) {
        refused(target, good.withKeyLengths(lengths(9, 10)), "keyLengths[1] is 10", "9");
        refused(target, good.withKeyLengths(lengths(-1, 9)), "keyLengths[0] is -1", "9");
        refused(target, good.withKeyLengths(lengths(0, Integer.MAX_VALUE)), "keyLengths[1] is 2147483647", "9");
        refused(target, good.withKeyLengths(lengths(Integer.MIN_VALUE, 0)), "keyLengths[0] is -2147483648", "9");
    }

    /** Lengths are read anew by every run of a prepared call. */
    @ParameterizedTest
    @MethodSource("backends")
    void no92LengthThatGrowsPastTheCacheOfAPreparedCall(Target target) {
        Tensor lengths = lengths(3, 9);
        Tensor out = f32(2, 5, 4, 16);
        try (GatedAttention attention = sample.builder(target).build()) {
            PreparedForward prepared = attention.prepare(
                    Operands.of(good.q(), good.k(), good.v(), good.gate(), out).withKeyLengths(lengths));
            prepared.run();
            float[] before = out.toFloatArray();
            lengths.setInt(10, 1);
            refused(prepared::run, IllegalArgumentException.class, "keyLengths[1] is 10", "9");
            assertThat(out.toFloatArray()).isEqualTo(before);
            lengths.setInt(9, 1);
            prepared.run();
            assertThat(out.toFloatArray()).isEqualTo(before);
        }
    }

    private Tensor lengths(int... lengths) {
        return Tensor.copyOf(arena, DataType.I32, lengths, lengths.length);
    }

    @ParameterizedTest
    @MethodSource("backends")
    void no93ScaleThatIsNoNumber(Target target) {
        for (float scale : new float[] {Float.NaN, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY}) {
            refused(
                    () -> sample.builder(target).scale(scale).build(),
                    IllegalArgumentException.class,
                    "scale is " + scale,
                    "finite");
        }
        for (float cap : new float[] {Float.NaN, Float.POSITIVE_INFINITY, -1, -Float.MIN_VALUE}) {
            refused(
                    () -> sample.builder(target).softcap(cap).build(),
                    IllegalArgumentException.class,
                    "softcap is " + cap,
                    "above 0");
        }
        refused(() -> Gate.none().withRmsNorm(Float.NaN), IllegalArgumentException.class, "eps is NaN", "0");
        refused(() -> Gate.none().withRmsNorm(-1e-6f), IllegalArgumentException.class, "eps is -1.0E-6", "0");
        refused(() -> Mask.causal().withWindow(-2, 0), IllegalArgumentException.class, "left is -2", "-1");
    }

    /** What an unknown number is to the ABI, null is to Java. */
    @ParameterizedTest
    @MethodSource("backends")
    void no94NullSettings(Target target) {
        GatedAttention.Builder builder = sample.builder(target);
        refused(() -> builder.gate(null), NullPointerException.class, "gate");
        refused(() -> builder.mask(null), NullPointerException.class, "mask");
        refused(() -> builder.dataType(null), NullPointerException.class, "dataType");
        refused(() -> builder.backend(null), NullPointerException.class, "backend");
        refused(() -> builder.maxInstructionSet(null), NullPointerException.class, "maxInstructionSet");
        refused(() -> builder.executor(null), NullPointerException.class, "executor");
        refused(() -> Gate.elementwise(null), NullPointerException.class, "activation");
        refused(
                () -> Gate.elementwise(Activation.TANH).withCombination(null),
                NullPointerException.class,
                "combination");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void no96Closed(Target target) {
        GatedAttention attention = sample.builder(target).build();
        PreparedForward prepared = attention.prepare(good);
        attention.close();
        attention.close();
        refused(() -> attention.forward(good), IllegalStateException.class, "closed");
        refused(() -> attention.prepare(good), IllegalStateException.class, "closed");
        refused(() -> attention.explain(good), IllegalStateException.class, "closed");
        refused(() -> attention.explain(good.q(), good.k()), IllegalStateException.class, "closed");
        refused(prepared::run, IllegalStateException.class, "closed");
        // Its sibling with the same options is not harmed.
        try (GatedAttention sibling = sample.builder(target).build()) {
            sample.builder(target).build().close();
            sibling.explain(good);
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void no96ArenaClosedBeforeTheCall(Target target) {
        Arena shortLived = Arena.ofShared();
        Tensor q = Tensor.allocate(shortLived, DataType.F32, 2, 5, 4, 16);
        try (GatedAttention attention = sample.builder(target).build()) {
            Operands operands = Operands.of(q, good.k(), good.v(), good.gate(), good.out());
            PreparedForward prepared = attention.prepare(operands);
            shortLived.close();
            refused(prepared::run, IllegalStateException.class, "losed");
            refused(() -> attention.forward(operands), IllegalStateException.class, "losed");
        }
        refused(() -> q.getFloat(0, 0, 0, 0), IllegalStateException.class, "losed");
    }

    /** A tensor belongs to no backend: what one wrote, the other reads; nothing of one fits into the other. */
    @ParameterizedTest
    @MethodSource("backends")
    void no96TensorsServeEveryBackend(Target target) {
        Tensor out = f32(2, 5, 4, 16);
        try (GatedAttention one = sample.builder(target).build();
                GatedAttention other = sample.builder(Target.java().getLast()).build()) {
            one.forward(good.q(), good.k(), good.v(), good.gate(), out);
            other.forward(out, good.k(), good.v(), good.gate(), out);
            one.forward(out, good.k(), good.v(), good.gate(), out);
        }
        assertThat(out.getFloat(1, 4, 3, 15)).isFinite();
    }

    /** Without devices there is one wrong kind of memory: the heap, which native code cannot address. */
    @Test
    void no97HeapMemory() {
        refused(
                () -> Tensor.of(MemorySegment.ofArray(new float[16]), DataType.F32, 16),
                IllegalArgumentException.class,
                "segment is on the Java heap",
                "copyOf");
        refused(
                () -> Tensor.of(MemorySegment.ofArray(new byte[64]), DataType.BF16, new long[] {16}, new long[] {1}),
                IllegalArgumentException.class,
                "segment is on the Java heap",
                "copyOf");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void no98ReadOnlyOutput(Target target) {
        Tensor readOnly = Tensor.of(arena.allocate(4 * 640, 64).asReadOnly(), DataType.F32, 2, 5, 4, 16);
        refused(target, withOut(readOnly), "out is read-only", "writable");
        refused(
                target,
                good.withLse(Tensor.of(arena.allocate(160, 64).asReadOnly(), DataType.F32, 2, 4, 5)),
                "lse is read-only",
                "writable");
        refused(() -> readOnly.copyFrom(good.q()), IllegalArgumentException.class, "read-only");
        Tensor out = f32(2, 5, 4, 16);
        try (GatedAttention attention = sample.builder(target).build()) {
            attention.forward(readOnly, good.k(), good.v(), good.gate(), out);
        }
        assertThat(out.getFloat(0, 0, 0, 0)).isFinite();
    }

    @ParameterizedTest
    @MethodSource("backends")
    void no99ConfinedMemoryOfAnotherThread(Target target) throws InterruptedException {
        try (Arena confined = Arena.ofConfined();
                GatedAttention attention = sample.builder(target).build()) {
            Tensor q = Tensor.allocate(confined, DataType.F32, 2, 5, 4, 16);
            Operands operands = withQ(q);
            PreparedForward prepared = attention.prepare(operands);
            AtomicReference<Throwable> first = new AtomicReference<>();
            AtomicReference<Throwable> second = new AtomicReference<>();
            Thread other = Thread.ofPlatform().start(() -> {
                first.set(catching(() -> attention.forward(operands)));
                second.set(catching(prepared::run));
            });
            other.join();
            assertThat(first.get()).isInstanceOf(WrongThreadException.class);
            assertThat(second.get()).isInstanceOf(WrongThreadException.class);
        }
    }

    private static Throwable catching(Runnable call) {
        try {
            call.run();
            return null;
        } catch (RuntimeException e) {
            return e;
        }
    }

    @Test
    void no100SizesThatOverflow() {
        Tensor small = f32(4, 4);
        refused(
                () -> small.slice(0, 1, Long.MAX_VALUE),
                IllegalArgumentException.class,
                "slice from 1 to 9223372036854775807",
                "4");
        refused(() -> small.slice(0, -1, 2), IllegalArgumentException.class, "slice from -1", "4");
        refused(() -> small.slice(0, 3, 2), IllegalArgumentException.class, "slice from 3 to 2", "4");
        refused(
                () -> small.select(1, Long.MIN_VALUE),
                IllegalArgumentException.class,
                "index is -9223372036854775808",
                "4");
        refused(() -> small.split(0, Long.MAX_VALUE, 5), IllegalArgumentException.class, "sizes", "4");
        refused(() -> small.split(1, Long.MAX_VALUE, Long.MAX_VALUE, 6), IllegalArgumentException.class, "sizes", "4");
        refused(() -> small.reshape(Long.MAX_VALUE, 16), IllegalArgumentException.class, "9223372036854775807");
        refused(() -> small.reshape(1L << 62, 4, 1L << 2), IllegalArgumentException.class, "4611686018427387904");
        refused(
                () -> Tensor.of(
                        arena.allocate(64), DataType.F32, new long[] {3, 2}, new long[] {Long.MAX_VALUE / 2 + 1, 1}),
                IllegalArgumentException.class,
                "2^63");
        refused(
                () -> Tensor.of(arena.allocate(64), DataType.F32, new long[] {2, 2}, new long[] {1L << 61, 1}),
                IllegalArgumentException.class,
                "2^63");
        // 2^62 elements of 4 bytes wrap to 0.
        refused(() -> Tensor.of(arena.allocate(64), DataType.F32, 1L << 62), IllegalArgumentException.class, "2^63");
        refused(() -> Tensor.allocate(arena, DataType.F32, 1L << 31, 1L << 31), IllegalArgumentException.class, "2^63");
    }
}
