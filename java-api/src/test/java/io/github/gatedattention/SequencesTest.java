package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.stream.Stream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Wrong descriptions of sequences: each is refused with one sentence, and nothing is written. */
class SequencesTest {
    private static final Setting GATED = Setting.causal(16).withGate(Activation.SIGMOID, Combination.MULTIPLY);

    private final Arena arena = Arena.ofShared();
    private final Sample sample = Sample.of(arena, GATED, DataType.F32, new Sample.Shape(2, 5, 9, 4, 2, 16, 16));
    private final Operands padded = sample.operands();
    /** The same memory, packed: two sequences on one axis. */
    private final Operands packed = Operands.of(
                    padded.q().reshape(1, 10, 4, 16),
                    padded.k().reshape(1, 18, 2, 16),
                    padded.v().reshape(1, 18, 2, 16),
                    padded.gate().reshape(1, 10, 4, 16),
                    padded.out().reshape(1, 10, 4, 16))
            .withLse(padded.lse().reshape(1, 4, 10));
    /** And as a cache of six pages of three keys. */
    private final Operands paged = Operands.of(
                    padded.q(),
                    padded.k().reshape(6, 3, 2, 16),
                    padded.v().reshape(6, 3, 2, 16),
                    padded.gate(),
                    padded.out())
            .withLse(padded.lse());

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

    private Tensor ints(int... values) {
        return Tensor.copyOf(arena, DataType.I32, values, values.length);
    }

    private Tensor table(int columns, int... values) {
        return Tensor.copyOf(arena, DataType.I32, values, values.length / columns, columns);
    }

    private void refused(
            Target target, Operands operands, Sequences sequences, Class<? extends Exception> type, String sentence) {
        Operands wrong = operands.withSequences(sequences);
        try (GatedAttention attention = sample.builder(target).build()) {
            refused(() -> attention.forward(wrong), type, sentence);
            refused(() -> attention.prepare(wrong).run(), type, sentence);
            refused(() -> attention.explain(wrong), type, sentence);
        }
    }

    private static void refused(ThrowingCallable call, Class<? extends Exception> type, String sentence) {
        assertThatThrownBy(call).isInstanceOf(type).hasMessage(sentence);
    }

    private void refused(Target target, Operands operands, Sequences sequences, String sentence) {
        refused(target, operands, sequences, IllegalArgumentException.class, sentence);
    }

    private static Sequences starts(Tensor starts) {
        return Sequences.leftPadded(starts);
    }

    @Test
    void twoDescriptionsOfOneAxis() {
        Tensor some = ints(0, 1, 2);
        String rest = " are both given; only one of them can say where the sequences are";
        refused(
                () -> new Sequences(some, null, null, some, null, null),
                IllegalArgumentException.class,
                "cuSeqlensQ and queryLengths" + rest);
        refused(
                () -> new Sequences(null, some, null, null, some, null),
                IllegalArgumentException.class,
                "cuSeqlensK and keyLengths" + rest);
        refused(
                () -> new Sequences(null, null, some, null, some, null),
                IllegalArgumentException.class,
                "cuSeqlensK and keyStarts" + rest);
        refused(
                () -> new Sequences(null, null, null, null, some, some),
                IllegalArgumentException.class,
                "cuSeqlensK and blockTable" + rest);
        refused(() -> Sequences.leftPadded(null), NullPointerException.class, "keyStarts is null");
        refused(() -> Sequences.packed(null, some), NullPointerException.class, "cuSeqlensQ is null");
        refused(() -> Sequences.packed(some, null), NullPointerException.class, "cuSeqlensK is null");
        refused(() -> Sequences.paged(null, some), NullPointerException.class, "blockTable is null");
        refused(() -> Sequences.paged(some, null), NullPointerException.class, "keyLengths is null");
        refused(
                () -> Sequences.padded(null, some).withPackedQueries(null),
                NullPointerException.class,
                "cuSeqlens is null");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void shapesAndTypesOfLengths(Target target) {
        refused(
                target,
                padded,
                Sequences.padded(ints(1, 2, 3), null),
                "queryLengths has 3 sequences on axis 0, but the batch of q is 2");
        refused(
                target,
                padded,
                Sequences.padded(null, ints(1)),
                "keyLengths has 1 sequences on axis 0, but the batch of q is 2");
        refused(target, padded, starts(ints(1)), "keyStarts has 1 sequences on axis 0, but the batch of q is 2");
        Tensor floats = Tensor.allocate(arena, DataType.F32, 2);
        refused(target, padded, Sequences.padded(floats, null), "queryLengths is F32, but must be I32");
        refused(target, padded, starts(floats), "keyStarts is F32, but must be I32");
        refused(
                target,
                padded,
                starts(table(1, 1, 2)),
                "keyStarts has 2 axes, but must have 1; it is a Tensor[I32 tensor of shape [2, 1]]");
        refused(
                target,
                padded,
                starts(ints(3).expand(0, 2)),
                "keyStarts has stride 0 on axis 0 of 2 elements, but only gate, normWeight and sink may be shared along"
                        + " an axis; use Tensor.copyFrom");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void shapesOfPackedSequences(Target target) {
        Tensor cu = ints(0, 5, 10);
        refused(
                target,
                padded,
                Sequences.packed(cu, ints(0, 9, 18)),
                "q has 2 entries on axis 0, but the batch axis of packed queries is 1");
        refused(
                target,
                packed,
                Sequences.packed(cu, ints(0, 18)),
                "cuSeqlensK has 2 elements on axis 0, but 1 more than the number of sequences of cuSeqlensQ is 3");
        refused(
                target,
                packed,
                Sequences.packed(Tensor.allocate(arena, DataType.I32, 0), ints(0, 18)),
                "cuSeqlensQ has 0 elements, but must have 1 more than there are sequences");
        Operands packedQueries = Operands.of(packed.q(), padded.k(), padded.v(), packed.gate(), packed.out());
        refused(
                target,
                packedQueries,
                new Sequences(null, null, null, ints(0, 1, 5, 10), null, null),
                "k has 2 sequences on axis 0, but the number of sequences of cuSeqlensQ is 3");
        refused(
                target,
                padded,
                new Sequences(null, null, null, null, ints(0, 9, 18), null),
                "k has 2 entries on axis 0, but the batch axis of packed keys is 1");
        refused(
                target,
                packed,
                new Sequences(null, null, null, cu, null, null),
                "k has 1 sequences on axis 0, but the number of sequences of cuSeqlensQ is 2");
        refused(
                target,
                Operands.of(packed.q(), packed.k(), packed.v(), packed.gate(), padded.out()),
                Sequences.packed(cu, ints(0, 9, 18)),
                "out has 2 sequences on axis 0, but the batch of q is 1");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void shapesOfPages(Target target) {
        Tensor lengths = ints(9, 9);
        refused(
                target,
                paged,
                Sequences.paged(table(3, 0, 1, 2), lengths),
                "blockTable has 1 sequences on axis 0, but the batch of q is 2");
        refused(
                target,
                paged,
                Sequences.paged(lengths, lengths),
                "blockTable has 1 axes, but must have 2; it is a Tensor[I32 tensor of shape [2]]");
        Tensor noKeys = Tensor.allocate(arena, DataType.F32, 6, 0, 2, 16);
        refused(
                target,
                Operands.of(paged.q(), noKeys, noKeys, paged.gate(), paged.out()),
                Sequences.paged(table(3, 0, 1, 2, 3, 4, 5), lengths),
                "k has 0 keys on axis 1, but a page has 1 to 65536");
        Tensor many = Tensor.allocate(arena, DataType.F32, 1, 65537, 2, 16);
        refused(
                target,
                Operands.of(paged.q(), many, many, paged.gate(), paged.out()),
                Sequences.paged(table(1, 0, 0), lengths),
                "k has 65537 keys on axis 1, but a page has 1 to 65536");
        refused(
                target,
                Operands.of(paged.q(), paged.k(), padded.v(), paged.gate(), paged.out()),
                Sequences.paged(table(3, 0, 1, 2, 3, 4, 5), lengths),
                "v has 2 sequences on axis 0, but axis 0 of k is 6");
        try (GatedAttention attention = sample.builder(target).build()) {
            Operands wide =
                    paged.withSequences(Sequences.paged(Tensor.withoutMemory(DataType.I32, 2, 715_827_883), lengths));
            refused(
                    () -> attention.forward(wide),
                    IllegalArgumentException.class,
                    "blockTable has 715827883 pages on axis 1, but with the 3 keys of a page a sequence can have at most"
                            + " 715827882");
            Operands large = paged.withSequences(
                    Sequences.paged(Tensor.withoutMemory(DataType.I32, 4, 600_000_000), ints(9, 9, 9, 9))
                            .withPackedQueries(ints(0, 3, 5, 8, 10)));
            Operands four = Operands.of(packed.q(), paged.k(), paged.v(), packed.gate(), packed.out())
                    .withSequences(large.sequences());
            refused(
                    () -> attention.forward(four),
                    IllegalArgumentException.class,
                    "blockTable has 4 times 600000000 elements, but a call takes at most 2147483583");
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void lengthsOutOfRange(Target target) {
        refused(
                target,
                padded,
                Sequences.padded(ints(5, 6), null),
                "queryLengths[1] is 6, but must be 0 to 5, the queries of q");
        refused(
                target,
                padded,
                Sequences.padded(ints(-1, 5), null),
                "queryLengths[0] is -1, but must be 0 to 5, the queries of q");
        refused(
                target,
                padded,
                Sequences.padded(ints(5, 5), ints(9, 10)),
                "keyLengths[1] is 10, but must be 0 to 9, the keys of k");
        refused(
                target,
                padded,
                starts(ints(0, 10)),
                "keyStarts[1] is 10, but must be 0 to 9, the keys of the sequence");
        refused(
                target,
                padded,
                starts(ints(-1, 0)),
                "keyStarts[0] is -1, but must be 0 to 9, the keys of the sequence");
        refused(
                target,
                padded,
                new Sequences(null, ints(4, 9), ints(5, 0), null, null, null),
                "keyStarts[0] is 5, but must be 0 to 4, the keys of the sequence");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void cumulativeLengthsOutOfRange(Target target) {
        Tensor right = ints(0, 9, 18);
        refused(target, packed, Sequences.packed(ints(1, 5, 10), right), "cuSeqlensQ[0] is 1, but must be 0");
        refused(
                target,
                packed,
                Sequences.packed(ints(0, 5, 11), right),
                "cuSeqlensQ[2] is 11, but must be 10, the queries of q");
        refused(
                target,
                packed,
                Sequences.packed(ints(0, 12, 10), right),
                "cuSeqlensQ[2] is 10, but must be at least the 12 before it");
        refused(
                target,
                packed,
                Sequences.packed(ints(0, -1, 10), right),
                "cuSeqlensQ[1] is -1, but must be at least the 0 before it");
        Tensor queries = ints(0, 5, 10);
        refused(target, packed, Sequences.packed(queries, ints(-3, 9, 18)), "cuSeqlensK[0] is -3, but must be 0");
        refused(
                target,
                packed,
                Sequences.packed(queries, ints(0, 9, 17)),
                "cuSeqlensK[2] is 17, but must be 18, the keys of k");
        refused(
                target,
                packed,
                Sequences.packed(queries, ints(0, 19, 18)),
                "cuSeqlensK[2] is 18, but must be at least the 19 before it");
    }

    @ParameterizedTest
    @MethodSource("backends")
    void pagesOutOfRange(Target target) {
        Tensor full = ints(9, 9);
        refused(
                target,
                paged,
                Sequences.paged(table(3, 0, 1, 2, 3, 4, 6), full),
                "blockTable[1][2] is 6, but k has 6 pages, counted from 0");
        refused(
                target,
                paged,
                Sequences.paged(table(3, 0, -1, 2, 3, 4, 5), full),
                "blockTable[0][1] is -1, but k has 6 pages, counted from 0");
        refused(
                target,
                paged,
                Sequences.paged(table(3, 0, 1, 2, 3, Integer.MAX_VALUE, -1), ints(9, 4)),
                "blockTable[1][1] is 2147483647, but k has 6 pages, counted from 0");
        refused(
                target,
                paged,
                Sequences.paged(table(3, 0, 1, 2, 3, 4, 5), ints(9, 10)),
                "keyLengths[1] is 10, but must be 0 to 9, the keys of the pages in a row of blockTable");
        Tensor none = Tensor.allocate(arena, DataType.F32, 0, 3, 2, 16);
        refused(
                target,
                Operands.of(paged.q(), none, none, paged.gate(), paged.out()),
                Sequences.paged(table(1, 0, 0), ints(0, 1)),
                "blockTable[1][0] is 0, but k has 0 pages, counted from 0");
    }

    /** What a call may have as n-th tensor of the sequences, the others beside it right. */
    private Sequences with(int n, Tensor tensor) {
        return new Sequences(
                n == 0 ? tensor : null,
                n == 1 ? tensor : n == 5 ? ints(9, 9) : null,
                n == 2 ? tensor : null,
                n == 3 ? tensor : n == 4 ? ints(0, 5, 10) : null,
                n == 4 ? tensor : n == 3 ? ints(0, 9, 18) : null,
                n == 5 ? tensor : null);
    }

    /** The n-th tensor in an arena. */
    private static Tensor right(Arena owner, int n) {
        int[][] values = {{5, 4}, {9, 8}, {0, 1}, {0, 5, 10}, {0, 9, 18}, {0, 1, 2, 3, 4, 5}};
        return n == 5
                ? Tensor.copyOf(owner, DataType.I32, values[n], 2, 3)
                : Tensor.copyOf(owner, DataType.I32, values[n], values[n].length);
    }

    private Operands operands(int n) {
        return n == 5 ? paged : n >= 3 ? packed : padded;
    }

    @ParameterizedTest
    @MethodSource("backends")
    void closedArenas(Target target) {
        for (int n = 0; n < Sequences.TENSORS; n++) {
            Operands good = operands(n);
            Tensor out = Tensor.allocate(arena, DataType.F32, good.out().shape());
            Arena owner = Arena.ofShared();
            Operands operands =
                    Operands.of(good.q(), good.k(), good.v(), good.gate(), out).withSequences(with(n, right(owner, n)));
            try (GatedAttention attention = sample.builder(target).build()) {
                PreparedForward prepared = attention.prepare(operands);
                prepared.run();
                attention.forward(operands);
                float[] before = out.toFloatArray();
                owner.close();
                for (ThrowingCallable call : new ThrowingCallable[] {
                    prepared::run, () -> attention.forward(operands), () -> attention.explain(operands)
                }) {
                    assertThatThrownBy(call)
                            .as("%s on %s", Sequences.name(n), target)
                            .isInstanceOf(IllegalStateException.class)
                            .hasMessageContaining("losed");
                }
                assertThat(out.toFloatArray()).isEqualTo(before);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void outputsOverSequences(Target target) {
        for (int n = 0; n < Sequences.TENSORS; n++) {
            Operands good = operands(n);
            long[] shape = right(arena, n).shape();
            Tensor onOut = Tensor.of(good.out().segment(), DataType.I32, shape);
            Tensor onLse = Tensor.of(good.lse().segment(), DataType.I32, shape);
            try (GatedAttention attention = sample.builder(target).build()) {
                String name = Sequences.name(n);
                int number = n;
                assertThatThrownBy(() -> attention.forward(good.withSequences(with(number, onOut))))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageMatching("out \\(.*\\) overlaps " + name + " \\(.*\\), but must lie apart from it");
                assertThatThrownBy(() -> attention.forward(good.withSequences(with(number, onLse))))
                        .isInstanceOf(IllegalArgumentException.class)
                        .hasMessageMatching("lse \\(.*\\) overlaps " + name + " \\(.*\\), but must lie apart from it");
            }
        }
    }

    /** Every run of a prepared call reads the table anew. */
    @ParameterizedTest
    @MethodSource("backends")
    void pageThatLeavesTheCacheOfAPreparedCall(Target target) {
        Tensor out = Tensor.allocate(arena, DataType.F32, 2, 5, 4, 16);
        Tensor table = table(3, 0, 1, 2, 3, 4, 5);
        Operands operands = Operands.of(paged.q(), paged.k(), paged.v(), paged.gate(), out)
                .withSequences(Sequences.paged(table, ints(9, 9)));
        try (GatedAttention attention = sample.builder(target).build()) {
            PreparedForward prepared = attention.prepare(operands);
            prepared.run();
            float[] before = out.toFloatArray();
            table.setInt(6, 1, 2);
            refused(
                    prepared::run,
                    IllegalArgumentException.class,
                    "blockTable[1][2] is 6, but k has 6 pages, counted from 0");
            assertThat(out.toFloatArray()).isEqualTo(before);
            table.setInt(0, 1, 2);
            prepared.run();
            assertThat(out.toFloatArray()).isNotEqualTo(before);
        }
    }
}
