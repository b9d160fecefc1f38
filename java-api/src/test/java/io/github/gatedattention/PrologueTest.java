package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;
import static org.assertj.core.data.Offset.offset;

import io.github.gatedattention.reference.Activations;
import io.github.gatedattention.reference.Floats;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.Random;
import java.util.function.Consumer;
import java.util.function.DoubleUnaryOperator;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The prologue of attention against plain float64, forward and backward. */
class PrologueTest {
    private static final int BATCH = 2;
    private static final int TOKENS = 19;
    private static final int HEADS = 4;
    private static final int GROUPS = 2;
    private static final int DIM = 24;
    private static final int POSITIONS = 64;
    private static final DataType[] TYPES = {DataType.F32, DataType.BF16, DataType.F16};

    /** Settings of a prologue. */
    private enum Kind {
        NOTHING(false, false, null, false),
        NORM(true, false, null, false),
        FULL_ROPE(true, false, Rope.of(24, 10_000), false),
        PARTIAL_ROPE(true, true, Rope.of(6, 1e6), false),
        INTERLEAVED(false, false, Rope.of(16, 10_000).interleaved(), false),
        GATES(true, true, Rope.of(24, 10_000), true),
        YARN(true, false, Rope.of(24, 10_000).withYarn(Rope.Yarn.of(4, 32)), true);

        final boolean norm;
        final boolean plusOne;
        final @Nullable Rope rope;
        final boolean gates;

        Kind(boolean norm, boolean plusOne, @Nullable Rope rope, boolean gates) {
            this.norm = norm;
            this.plusOne = plusOne;
            this.rope = rope;
            this.gates = gates;
        }

        AttentionPrologue.Builder builder(Target target, DataType type) {
            AttentionPrologue.Builder builder = AttentionPrologue.builder()
                    .queryHeads(HEADS)
                    .keyValueHeads(GROUPS)
                    .headDim(DIM)
                    .dataType(type)
                    .backend(target.backend())
                    .maxInstructionSet(target.instructionSet())
                    .threads(2);
            if (norm) {
                builder = plusOne ? builder.zeroCenteredNorm(1e-6f) : builder.norm(1e-6f);
            }
            if (rope != null) {
                builder = builder.rope(rope, POSITIONS);
            }
            return gates
                    ? builder.queryGate(Activation.SIGMOID)
                            .keyGate(Activation.SILU)
                            .valueGate(Activation.TANH)
                    : builder;
        }

        Activation activation(int part) {
            return part == 0 ? Activation.SIGMOID : part == 1 ? Activation.SILU : Activation.TANH;
        }
    }

    /** The tensors of a call: q grouped in a packed projection, k and v with a gap between tokens. */
    private static final class Call {
        final Kind kind;
        final DataType type;
        final ProjectedHeads[] parts = new ProjectedHeads[3];
        PrologueOperands operands;

        Call(Arena arena, Kind kind, DataType type, long seed) {
            this.kind = kind;
            this.type = type;
            Random random = new Random(seed);
            int group = HEADS / GROUPS;
            Tensor packed = normal(random, arena, type, BATCH, TOKENS, GROUPS, 2L * group * DIM);
            Tensor q = packed.split(3, (long) group * DIM, (long) group * DIM)
                    .getFirst()
                    .reshape(BATCH, TOKENS, GROUPS, group, DIM);
            Tensor kv = normal(random, arena, type, BATCH, TOKENS, 2L * GROUPS, DIM);
            parts[0] = ProjectedHeads.of(q, nan(arena, type, BATCH, TOKENS, GROUPS, group, DIM));
            for (int n = 1; n < 3; n++) {
                parts[n] = ProjectedHeads.of(
                        kv.slice(2, (n - 1L) * GROUPS, (long) n * GROUPS),
                        nan(arena, type, BATCH, TOKENS, GROUPS, DIM));
            }
            for (int n = 0; n < 3; n++) {
                int heads = n == 0 ? HEADS : GROUPS;
                if (kind.gates) {
                    // One score per element; per head and independent of the token; shared between heads.
                    long[][] shapes = {{BATCH, TOKENS, heads, DIM}, {1, 1, heads, 1}, {BATCH, TOKENS, 1, DIM}};
                    parts[n] = parts[n].withGate(normal(random, arena, DataType.F32, shapes[n]));
                }
                if (kind.norm && n < 2) {
                    parts[n] = parts[n].withNormWeight(
                            n == 0
                                    ? normal(random, arena, DataType.F32, DIM)
                                    : normal(random, arena, DataType.F32, heads, DIM));
                }
            }
            operands = PrologueOperands.of(parts[0], parts[1], parts[2]);
        }

        /** Heads of part n. */
        static int heads(int n) {
            return n == 0 ? HEADS : GROUPS;
        }

        /** What float64 gives for one head; element {@code changed} of in, gate or weight is replaced by the function's value. */
        double[] head(int n, long b, long s, int h, long position, @Nullable Change change) {
            double[] x = new double[DIM];
            for (int d = 0; d < DIM; d++) {
                x[d] = value(change, "in", n, parts[n].in(), index(parts[n].in(), b, s, h, d));
                Tensor gate = parts[n].gate();
                if (gate != null) {
                    x[d] *= Activations.apply(
                            kind.activation(n), value(change, "gate", n, gate, index(gate, b, s, h, d)));
                }
            }
            Tensor weight = parts[n].normWeight();
            if (kind.norm && n < 2) {
                double root =
                        Math.sqrt(Arrays.stream(x).map(v -> v * v).average().orElseThrow() + 1e-6);
                for (int d = 0; d < DIM; d++) {
                    long[] at = weight.rank() == 1 ? new long[] {d} : new long[] {h, d};
                    x[d] *= (value(change, "weight", n, weight, at) + (kind.plusOne ? 1 : 0)) / root;
                }
            }
            if (kind.rope != null && n < 2) {
                int pairs = kind.rope.dim() / 2;
                for (int p = 0; p < pairs; p++) {
                    int i = kind.rope.isInterleaved() ? 2 * p : p;
                    int j = kind.rope.isInterleaved() ? 2 * p + 1 : p + pairs;
                    double angle = position * kind.rope.frequency(p);
                    double c = kind.rope.magnitude() * Math.cos(angle);
                    double sine = kind.rope.magnitude() * Math.sin(angle);
                    double a = x[i];
                    x[i] = a * c - x[j] * sine;
                    x[j] = x[j] * c + a * sine;
                }
            }
            return x;
        }

        static long[] index(Tensor tensor, long b, long s, long h, long d) {
            if (tensor.rank() == 5) {
                return new long[] {b, s, h / tensor.dim(3), h % tensor.dim(3), d};
            }
            long[] index = {b, s, h, d};
            for (int axis = 0; axis < 4; axis++) {
                index[axis] = tensor.dim(axis) == 1 ? 0 : index[axis];
            }
            return index;
        }
    }

    /** One element moved a little, for finite differences. */
    private record Change(String tensor, int part, long[] index, DoubleUnaryOperator move) {}

    private static double value(@Nullable Change change, String name, int part, Tensor tensor, long[] index) {
        double value = tensor.getFloat(index);
        return change != null && change.tensor.equals(name) && change.part == part && Arrays.equals(change.index, index)
                ? change.move.applyAsDouble(value)
                : value;
    }

    private static Tensor normal(Random random, Arena arena, DataType type, long... shape) {
        Tensor tensor = Tensor.allocate(arena, type, shape);
        for (long n = 0; n < tensor.segment().byteSize() / type.byteSize(); n++) {
            Floats.put(tensor.segment(), type, n, random.nextGaussian());
        }
        return tensor;
    }

    private static Tensor nan(Arena arena, DataType type, long... shape) {
        Tensor tensor = Tensor.allocate(arena, type, shape);
        tensor.segment().fill((byte) 0xFF);
        return tensor;
    }

    static Stream<Arguments> targetsAndKinds() {
        return Target.all().flatMap(target -> Arrays.stream(Kind.values()).map(kind -> Arguments.of(target, kind)));
    }

    static Stream<Arguments> backendsAndKinds() {
        return Target.backends()
                .flatMap(target -> Arrays.stream(Kind.values()).map(kind -> Arguments.of(target, kind)));
    }

    static Stream<Target> backends() {
        return Target.backends();
    }

    @ParameterizedTest
    @MethodSource("targetsAndKinds")
    void agreesWithFloat64(Target target, Kind kind) {
        for (DataType type : TYPES) {
            try (Arena arena = Arena.ofShared();
                    AttentionPrologue prologue = kind.builder(target, type).build()) {
                Call call = new Call(arena, kind, type, 5);
                prologue.run(call.operands.from(7));
                compare(call, (b, s) -> 7 + s);
                if (kind.rope != null) {
                    int[] numbers = new Random(3).ints(TOKENS, 0, POSITIONS).toArray();
                    prologue.run(call.operands.at(Tensor.copyOf(arena, DataType.I32, numbers, 1, TOKENS)));
                    compare(call, (b, s) -> numbers[(int) s]);
                }
            }
        }
    }

    private interface Position {
        long of(long b, long s);
    }

    private static void compare(Call call, Position position) {
        double error = call.type == DataType.F32 ? 2e-6 : 2 * Floats.roundoff(call.type) + 3e-4;
        for (int n = 0; n < 3; n++) {
            for (long b = 0; b < BATCH; b++) {
                for (long s = 0; s < TOKENS; s++) {
                    for (int h = 0; h < Call.heads(n); h++) {
                        double[] expected = call.head(n, b, s, h, position.of(b, s), null);
                        for (int d = 0; d < DIM; d++) {
                            Tensor out = call.parts[n].out();
                            assertThat((double) out.getFloat(Call.index(out, b, s, h, d)))
                                    .as("%s part %d, %d %d %d %d", call.type, n, b, s, h, d)
                                    .isCloseTo(expected[d], offset(error * (2 + 2 * Math.abs(expected[d]))));
                        }
                    }
                }
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backendsAndKinds")
    void inPlaceIsTheSame(Target target, Kind kind) {
        try (Arena arena = Arena.ofShared();
                AttentionPrologue prologue = kind.builder(target, DataType.BF16).build()) {
            Call apart = new Call(arena, kind, DataType.BF16, 5);
            Call together = new Call(arena, kind, DataType.BF16, 5);
            prologue.run(apart.operands);
            ProjectedHeads[] inPlace = Arrays.stream(together.parts)
                    .map(p -> ProjectedHeads.inPlace(p.in()).withGate(p.gate()).withNormWeight(p.normWeight()))
                    .toArray(ProjectedHeads[]::new);
            prologue.run(PrologueOperands.of(inPlace[0], inPlace[1], inPlace[2]));
            for (int n = 0; n < 3; n++) {
                assertThat(together.parts[n].in().toFloatArray())
                        .isEqualTo(apart.parts[n].out().toFloatArray());
            }
        }
    }

    /** What finite differences of the float64 formulas give. */
    @ParameterizedTest
    @MethodSource("backendsAndKinds")
    void backwardAgreesWithFiniteDifferences(Target target, Kind kind) {
        try (Arena arena = Arena.ofShared();
                AttentionPrologue prologue = kind.builder(target, DataType.F32).build()) {
            Call call = new Call(arena, kind, DataType.F32, 9);
            Random random = new Random(17);
            HeadGradients[] gradients = new HeadGradients[3];
            for (int n = 0; n < 3; n++) {
                ProjectedHeads part = call.parts[n];
                gradients[n] = HeadGradients.of(
                                normal(random, arena, DataType.F32, part.in().shape()),
                                nan(arena, DataType.F32, part.in().shape()))
                        .withGate(
                                part.gate() == null
                                        ? null
                                        : nan(arena, DataType.F32, part.gate().shape()))
                        .withNormWeight(
                                part.normWeight() == null
                                        ? null
                                        : nan(
                                                arena,
                                                DataType.F32,
                                                part.normWeight().shape()));
            }
            prologue.backward(call.operands.from(3), new PrologueGradients(gradients[0], gradients[1], gradients[2]));
            for (int n = 0; n < 3; n++) {
                ProjectedHeads part = call.parts[n];
                check(call, gradients, "in", n, part.in(), gradients[n].dIn(), random);
                check(call, gradients, "gate", n, part.gate(), gradients[n].dGate(), random);
                check(call, gradients, "weight", n, part.normWeight(), gradients[n].dNormWeight(), random);
            }
        }
    }

    private static void check(
            Call call,
            HeadGradients[] gradients,
            String name,
            int n,
            @Nullable Tensor of,
            @Nullable Tensor gradient,
            Random random) {
        for (int trial = 0; of != null && gradient != null && trial < 12; trial++) {
            long[] index = Arrays.stream(of.shape()).map(random::nextLong).toArray();
            double step = 1e-5;
            double above = loss(call, gradients[n], n, new Change(name, n, index, v -> v + step));
            double below = loss(call, gradients[n], n, new Change(name, n, index, v -> v - step));
            double expected = (above - below) / (2 * step);
            assertThat((double) gradient.getFloat(index))
                    .as("%s of part %d at %s", name, n, Arrays.toString(index))
                    .isCloseTo(expected, offset(2e-5 * (1 + Math.abs(expected))));
        }
    }

    private static double loss(Call call, HeadGradients gradients, int n, Change change) {
        double sum = 0;
        for (long b = 0; b < BATCH; b++) {
            for (long s = 0; s < TOKENS; s++) {
                for (int h = 0; h < Call.heads(n); h++) {
                    double[] out = call.head(n, b, s, h, 3 + s, change);
                    for (int d = 0; d < DIM; d++) {
                        sum += out[d] * gradients.dOut().getFloat(Call.index(gradients.dOut(), b, s, h, d));
                    }
                }
            }
        }
        return sum;
    }

    @ParameterizedTest
    @MethodSource("backends")
    void sameBitsForAnyNumberOfThreads(Target target) {
        try (Arena arena = Arena.ofShared()) {
            float[] first = null;
            for (int threads : new int[] {2, 1, 5}) {
                try (AttentionPrologue prologue = Kind.GATES
                        .builder(target, DataType.F16)
                        .threads(threads)
                        .build()) {
                    Call call = new Call(arena, Kind.GATES, DataType.F16, 5);
                    prologue.run(call.operands);
                    float[] now = call.parts[0].out().toFloatArray();
                    first = first == null ? now : first;
                    assertThat(now).isEqualTo(first);
                }
            }
        }
    }

    /** What goes into a cache is what would go elsewhere, at the positions that follow. */
    @ParameterizedTest
    @MethodSource("backends")
    void appendsToCaches(Target target) {
        for (boolean paged : new boolean[] {false, true}) {
            try (Arena arena = Arena.ofShared();
                    AttentionPrologue prologue =
                            Kind.GATES.builder(target, DataType.BF16).build();
                    KvCache cache = (paged ? KvCache.paged(20, 4) : KvCache.contiguous(4, 60))
                            .keyValueHeads(GROUPS)
                            .headDim(DIM)
                            .dataType(DataType.BF16)
                            .build()) {
                long a = cache.allocate();
                long b = cache.allocate();
                Tensor filler = normal(new Random(1), arena, DataType.BF16, 3, GROUPS, DIM);
                cache.append(b, filler, filler);
                Call call = new Call(arena, Kind.GATES, DataType.BF16, 5);
                Tensor numbers = Tensor.allocate(arena, DataType.I32, BATCH, TOKENS);
                for (int s = 0; s < TOKENS; s++) {
                    numbers.setInt(s, 0, s);
                    numbers.setInt(3 + s, 1, s);
                }
                prologue.run(call.operands.at(numbers));
                Call cached = new Call(arena, Kind.GATES, DataType.BF16, 5);
                prologue.run(cached.operands, cache, a, b);
                assertThat(cache.length(a)).isEqualTo(TOKENS);
                assertThat(cache.length(b)).isEqualTo(TOKENS + 3);
                assertThat(cached.parts[0].out().toFloatArray())
                        .isEqualTo(call.parts[0].out().toFloatArray());
                assertThat(cached.parts[1].out().getFloat(0, 0, 0, 0)).isNaN(); // not touched
                for (int n = 1; n < 3; n++) {
                    Tensor memory = n == 1 ? cache.keys() : cache.values();
                    Sequences where = cache.sequences(a, b);
                    for (int entry = 0; entry < 2; entry++) {
                        for (int s = 0; s < TOKENS; s++) {
                            int row = s + 3 * entry;
                            int page = where.blockTable().getInt(entry, row / memory.dim(1));
                            for (int h = 0; h < GROUPS; h++) {
                                for (int d = 0; d < DIM; d++) {
                                    assertThat(memory.getFloat(page, row % memory.dim(1), h, d))
                                            .isEqualTo(call.parts[n].out().getFloat(entry, s, h, d));
                                }
                            }
                        }
                    }
                }
                // No room: nothing is taken, nothing grows.
                int free = paged ? cache.freePages() : 0;
                Call more = new Call(arena, Kind.GATES, DataType.BF16, 6);
                int appends = 0;
                try {
                    for (; appends < 10; appends++) {
                        free = paged ? cache.freePages() : 0;
                        prologue.run(more.operands, cache, a, b);
                    }
                } catch (CacheFullException | IllegalArgumentException e) {
                    // The cache is full, or the rope has no more positions.
                }
                assertThat(appends).isLessThan(10);
                assertThat(cache.length(a)).isEqualTo(TOKENS * (appends + 1));
                assertThat(paged ? cache.freePages() : 0).isEqualTo(free);
            }
        }
    }

    @ParameterizedTest
    @MethodSource("backends")
    void refusesWhatDoesNotFit(Target target) {
        try (Arena arena = Arena.ofShared();
                AttentionPrologue prologue =
                        Kind.GATES.builder(target, DataType.F32).build()) {
            Call call = new Call(arena, Kind.GATES, DataType.F32, 5);
            ProjectedHeads q = call.parts[0];
            ProjectedHeads k = call.parts[1];
            ProjectedHeads v = call.parts[2];
            Consumer<PrologueOperands> run = prologue::run;
            refused(run, PrologueOperands.of(q.withGate(null), k, v), "q.gate is null", "with such a gate");
            refused(run, PrologueOperands.of(q, k.withNormWeight(null), v), "k.normWeight is null");
            refused(run, PrologueOperands.of(q, k, v.withNormWeight(q.normWeight())), "v.normWeight is a");
            refused(run, call.operands.from(50), "firstPosition is 50", "19 tokens", "64 positions");
            refused(
                    run,
                    call.operands.at(Tensor.copyOf(arena, DataType.I32, new int[TOKENS], TOKENS)),
                    "positions has 1 axes");
            int[] wrong = new int[TOKENS];
            wrong[4] = POSITIONS;
            refused(
                    run,
                    call.operands.at(Tensor.copyOf(arena, DataType.I32, wrong, 1, TOKENS)),
                    "positions[0][4] is 64",
                    "0 to 63");
            refused(
                    run,
                    PrologueOperands.of(
                            q,
                            ProjectedHeads.of(k.in(), v.out())
                                    .withGate(k.gate())
                                    .withNormWeight(k.normWeight()),
                            v),
                    "k.out",
                    "overlaps v.out");
            refused(
                    run,
                    PrologueOperands.of(
                            q, new ProjectedHeads(k.in().slice(1, 0, 5), k.gate(), k.normWeight(), k.out()), v),
                    "k.in has 5 tokens",
                    "19");
            refused(
                    run,
                    PrologueOperands.of(
                            q,
                            k,
                            new ProjectedHeads(v.in(), v.gate(), null, v.out().slice(3, 0, 16))),
                    "v.out has 16 elements",
                    "24");
            refused(
                    run,
                    PrologueOperands.of(
                            q,
                            k,
                            new ProjectedHeads(
                                    v.in(),
                                    v.gate(),
                                    null,
                                    Tensor.of(
                                            v.out().segment().asReadOnly(),
                                            DataType.F32,
                                            v.out().shape()))),
                    "v.out is read-only");
            Tensor bf16 = Tensor.allocate(arena, DataType.BF16, BATCH, TOKENS, GROUPS, DIM);
            refused(run, PrologueOperands.of(q, k, ProjectedHeads.inPlace(bf16).withGate(v.gate())), "v.in is BF16");
            assertThat(call.parts[0].out().getFloat(0, 0, 0, 0, 0)).isNaN();
            assertThatThrownBy(() -> PrologueOperands.of(null, null, null)).hasMessageContaining("q, k and v are null");
            assertThatThrownBy(() -> call.operands.from(-1)).hasMessageContaining("firstPosition is -1");
            refusesGradients(prologue, call, arena);
            refusesCaches(prologue, call);
            prologue.close();
            assertThatThrownBy(() -> prologue.run(call.operands)).isInstanceOf(IllegalStateException.class);
        }
    }

    private static void refusesGradients(AttentionPrologue prologue, Call call, Arena arena) {
        HeadGradients[] g = new HeadGradients[3];
        for (int n = 0; n < 3; n++) {
            Tensor dOut =
                    Tensor.allocate(arena, DataType.F32, call.parts[n].in().shape());
            g[n] = HeadGradients.of(dOut, dOut);
        }
        prologue.backward(call.operands, new PrologueGradients(g[0], g[1], g[2]));
        Consumer<PrologueGradients> run = gradients -> prologue.backward(call.operands, gradients);
        refused(run, new PrologueGradients(g[0], null, g[2]), "no gradients of k");
        refused(run, new PrologueGradients(g[0], HeadGradients.of(g[1].dOut(), g[2].dOut()), g[2]), "k.dIn", "v.dOut");
        refused(run, new PrologueGradients(g[0].withGate(g[1].dOut()), g[1], g[2]), "q.dGate");
        refused(
                run,
                new PrologueGradients(g[0], g[1], g[2].withNormWeight(Tensor.allocate(arena, DataType.F32, DIM))),
                "v.dNormWeight is a",
                "v.normWeight is null");
        refused(
                run,
                new PrologueGradients(HeadGradients.of(g[0].dOut(), call.parts[0].in()), g[1], g[2]),
                "q.dIn",
                "q.in");
    }

    private static void refusesCaches(AttentionPrologue prologue, Call call) {
        try (KvCache cache = KvCache.contiguous(2, 8)
                        .keyValueHeads(GROUPS)
                        .headDim(32)
                        .build();
                KvCache fits = KvCache.contiguous(2, 60)
                        .keyValueHeads(GROUPS)
                        .headDim(DIM)
                        .build()) {
            long id = cache.allocate();
            Consumer<KvCache> run = to -> prologue.run(call.operands, to, id, id + 1);
            refused(run, cache, "headDim is 24", "32");
            refused(run, fits, "no such sequence");
            long own = fits.allocate();
            refused(to -> prologue.run(call.operands, to, own), fits, "2 sequences", "1");
            refused(to -> prologue.run(call.operands, to, own, own), fits, "among the ids before it");
            refused(to -> prologue.run(call.operands.from(3), to, own, own), fits, "firstPosition is 3");
            refused(
                    to -> prologue.run(PrologueOperands.of(call.parts[0], null, call.parts[2]), to, own, own),
                    fits,
                    "k is null");
            assertThat(fits.length(own)).isZero();
        }
    }

    private static <T> void refused(Consumer<T> call, T argument, String... words) {
        assertThatThrownBy(() -> call.accept(argument))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessageContainingAll(words);
    }

    @Test
    void refusesSettingsOutOfRange() {
        AttentionPrologue.Builder good =
                AttentionPrologue.builder().queryHeads(4).keyValueHeads(2).headDim(16);
        assertThatThrownBy(() -> AttentionPrologue.builder().headDim(8).build())
                .hasMessageContaining("queryHeads is 0");
        assertThatThrownBy(() -> good.keyValueHeads(3).build()).hasMessageContaining("no multiple of keyValueHeads, 3");
        good.keyValueHeads(2);
        assertThatThrownBy(() -> good.headDim(12).build()).hasMessageContaining("headDim is 12");
        good.headDim(16);
        assertThatThrownBy(() -> good.valueHeadDim(12).build()).hasMessageContaining("valueHeadDim is 12");
        good.valueHeadDim(16);
        assertThatThrownBy(() -> good.norm(-1).build()).hasMessageContaining("eps is -1.0");
        good.norm(0);
        assertThatThrownBy(() -> good.rope(Rope.of(32, 1e4), 8).build()).hasMessageContaining("turns 32 elements");
        assertThatThrownBy(() -> good.rope(Rope.of(16, 1e4), 0).build()).hasMessageContaining("positions is 0");
        good.rope(Rope.of(16, 1e4), 8);
        assertThatThrownBy(() -> good.threads(0).build()).hasMessageContaining("threads is 0");
        good.threads(1);
        assertThatThrownBy(() -> good.dataType(DataType.I32).build()).hasMessageContaining("dataType is I32");
        assertThatThrownBy(() -> Rope.of(3, 1e4)).hasMessageContaining("dim is 3");
        assertThatThrownBy(() -> Rope.of(4, 0)).hasMessageContaining("theta is 0.0");
        assertThatThrownBy(() -> Rope.of(4, 1e4).withLinearScaling(0)).hasMessageContaining("factor is 0.0");
        assertThatThrownBy(() -> Rope.Yarn.of(0.5, 32)).hasMessageContaining("factor is 0.5");
        assertThatThrownBy(() -> Rope.Yarn.of(2, 0)).hasMessageContaining("originalPositions is 0");
        assertThatThrownBy(() -> new Rope.Yarn(2, 32, 1, 2, 1, true)).hasMessageContaining("betaSlow is 2.0");
    }

    /** Against numbers of transformers' own YaRN and linear scaling, computed by their formulas. */
    @Test
    void scalesFrequencies() {
        Rope plain = Rope.of(64, 10_000);
        Rope linear = plain.withLinearScaling(4);
        Rope yarn = plain.withYarn(Rope.Yarn.of(4, 2048));
        for (int n = 0; n < 32; n++) {
            assertThat(plain.frequency(n)).isCloseTo(Math.pow(10_000, -n / 32.0), offset(1e-15));
            assertThat(linear.frequency(n)).isCloseTo(plain.frequency(n) / 4, offset(1e-16));
        }
        // Pairs that turn over 32 times in 2048 positions stay; those that turn less than once are divided.
        int low = (int) Math.floor(64 * Math.log(2048 / (32 * 2 * Math.PI)) / (2 * Math.log(10_000)));
        int high = (int) Math.ceil(64 * Math.log(2048 / (2 * Math.PI)) / (2 * Math.log(10_000)));
        assertThat(low).isEqualTo(8);
        assertThat(high).isEqualTo(21);
        assertThat(yarn.frequency(low)).isEqualTo(plain.frequency(low));
        assertThat(yarn.frequency(high)).isCloseTo(plain.frequency(high) / 4, offset(1e-15));
        double ramp = (14.0 - low) / (high - low);
        assertThat(yarn.frequency(14)).isCloseTo(plain.frequency(14) * (ramp / 4 + 1 - ramp), offset(1e-15));
        assertThat(yarn.magnitude()).isCloseTo(0.1 * Math.log(4) + 1, offset(1e-15));
    }
}
