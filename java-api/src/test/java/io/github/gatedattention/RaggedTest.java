package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.RaggedBatch;
import io.github.gatedattention.testing.RaggedBatch.Keys;
import io.github.gatedattention.testing.RaggedBatch.Queries;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

/** Padded, packed and paged sequences: each has the bits that it has alone, dense and full, on every backend. */
class RaggedTest {
    private static final DataType[] TYPES = {DataType.F32, DataType.BF16, DataType.F16};

    private static final List<RaggedBatch.Model> MODELS = Stream.of(TYPES)
            .flatMap(type -> Stream.of(
                    new RaggedBatch.Model(
                            Setting.causal(64).withGate(Activation.SIGMOID, Combination.MULTIPLY),
                            type,
                            4,
                            2,
                            64,
                            64,
                            false),
                    new RaggedBatch.Model(
                            Setting.causal(40)
                                    .withMask(false, 90, 3)
                                    .withHeadwiseGate(Activation.SILU)
                                    .withPre(Setting.Pre.RMS_NORM, 1e-6f),
                            type,
                            6,
                            2,
                            40,
                            72,
                            true),
                    new RaggedBatch.Model(
                            Setting.causal(128).withMask(true, 50, 0).withGate(Activation.SIGMOID, Combination.ADD),
                            type,
                            3,
                            3,
                            128,
                            96,
                            false),
                    new RaggedBatch.Model(Setting.causal(24).withMask(false, -1, -1), type, 16, 1, 24, 24, true)))
            .toList();

    static Stream<Target> targets() {
        return Target.all();
    }

    /** Decode and prefill side by side, sequences without queries or without keys, more queries than keys. */
    @ParameterizedTest
    @MethodSource("targets")
    void eachSequenceHasTheBitsItHasAlone(Target target) {
        Random random = new Random(41);
        for (int n = 0; n < 3 * MODELS.size(); n++) {
            RaggedBatch.Model model = MODELS.get(n % MODELS.size());
            int batch = 1 + random.nextInt(5);
            int[] queries = random.ints(batch, 0, 90)
                    .map(count -> random.nextBoolean() ? count % 4 : count)
                    .toArray();
            int[] keys = random.ints(batch, 0, 330)
                    .map(count -> count % 9 == 0 ? 0 : count)
                    .toArray();
            compare(target, model, random, queries, keys, Queries.values(), Keys.values());
        }
    }

    /** Keys that decode splits between threads, by each sequence's own number. */
    @ParameterizedTest
    @MethodSource("targets")
    void longCaches(Target target) {
        compare(
                target,
                MODELS.getFirst(),
                new Random(42),
                new int[] {1, 1, 2, 40, 0},
                new int[] {3000, 17, 1025, 1500, 600},
                new Queries[] {Queries.PACKED},
                new Keys[] {Keys.PAGED, Keys.PACKED});
    }

    private static void compare(
            Target target,
            RaggedBatch.Model model,
            Random random,
            int[] queries,
            int[] keys,
            Queries[] queryLayouts,
            Keys[] keyLayouts) {
        try (Arena arena = Arena.ofShared()) {
            RaggedBatch batch = new RaggedBatch(arena, model, random, queries, keys);
            try (GatedAttention attention =
                    batch.builder(target).threads(1 + random.nextInt(4)).build()) {
                batch.attendAlone(attention);
                for (Queries queryLayout : queryLayouts) {
                    for (Keys keyLayout : keyLayouts) {
                        Operands together = batch.together(queryLayout, keyLayout);
                        if (random.nextBoolean()) {
                            attention.forward(together);
                        } else {
                            attention.prepare(together).run();
                        }
                        assertThat(batch.difference(together, queryLayout))
                                .as(
                                        "%s queries %s, %s keys %s, %s on %s",
                                        queryLayout,
                                        Arrays.toString(queries),
                                        keyLayout,
                                        Arrays.toString(keys),
                                        model,
                                        target)
                                .isNull();
                    }
                }
            }
        }
    }

    /** Two sequences that begin with the same pages. */
    @ParameterizedTest
    @MethodSource("targets")
    void pagesThatAreShared(Target target) {
        Setting setting = Setting.causal(64).withGate(Activation.SIGMOID, Combination.MULTIPLY);
        try (Arena arena = Arena.ofShared()) {
            Sample sample = Sample.of(arena, setting, DataType.BF16, new Sample.Shape(2, 3, 96, 4, 2, 64, 64));
            Operands o = sample.operands();
            // Six pages of 32 keys: of the second sequence, only the last page is its own.
            Tensor k = o.k().reshape(6, 32, 2, 64);
            Tensor v = o.v().reshape(6, 32, 2, 64);
            Tensor table = Tensor.copyOf(arena, DataType.I32, new int[] {0, 1, 2, 0, 1, 5}, 2, 3);
            Tensor lengths = Tensor.copyOf(arena, DataType.I32, new int[] {96, 80}, 2);
            try (GatedAttention attention = sample.builder(target).build()) {
                attention.forward(Operands.of(o.q(), k, v, o.gate(), o.out())
                        .withLse(o.lse())
                        .withSequences(Sequences.paged(table, lengths)));
                byte[] paged = sample.outputBytes();
                o.k().slice(0, 1, 2)
                        .slice(1, 0, 64)
                        .copyFrom(o.k().slice(0, 0, 1).slice(1, 0, 64));
                o.v().slice(0, 1, 2)
                        .slice(1, 0, 64)
                        .copyFrom(o.v().slice(0, 0, 1).slice(1, 0, 64));
                sample.spoilOutputs();
                attention.forward(o.withKeyLengths(lengths));
                // The second sequence's third page is the dense rows from 64 on.
                assertThat(sample.outputBytes()).as("%s", target).isEqualTo(paged);
            }
        }
    }

    /** Plans count each sequence's own queries and keys. */
    @ParameterizedTest
    @MethodSource("targets")
    void plans(Target target) {
        RaggedBatch.Model model = MODELS.getLast(); // every query sees every key of its sequence
        int[] queries = {5, 0, 70};
        int[] keys = {9, 100, 300};
        try (Arena arena = Arena.ofShared()) {
            RaggedBatch batch = new RaggedBatch(arena, model, new Random(43), queries, keys);
            try (GatedAttention attention = batch.builder(target).build()) {
                for (Queries queryLayout : Queries.values()) {
                    for (Keys keyLayout : Keys.values()) {
                        Plan plan = attention.explain(batch.together(queryLayout, keyLayout));
                        assertThat(plan.flop()).isEqualTo(2L * (24 + 24) * 16 * (5 * 9 + 70 * 300));
                        assertThat(plan.tasks()).isPositive();
                    }
                }
            }
        }
    }
}
