package io.github.gatedattention.testing;

import io.github.gatedattention.Combination;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Sequences;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.reference.Activations;
import io.github.gatedattention.reference.Floats;
import io.github.gatedattention.reference.Setting;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.stream.IntStream;
import org.jspecify.annotations.Nullable;

/**
 * Sequences of their own lengths: each alone, dense and full, and all of them laid out for one call. Wherever no sequence
 * lies, q, k and v are NaN and numbers are out of range.
 */
public final class RaggedBatch {
    /** How the queries lie. */
    public enum Queries {
        PACKED,
        PADDED
    }

    /** How the keys lie. */
    public enum Keys {
        PACKED,
        RIGHT_PADDED,
        LEFT_PADDED,
        PAGED
    }

    /**
     * What the sequences have in common.
     *
     * @param sink whether there is one
     */
    public record Model(Setting setting, DataType type, int headsQ, int headsKv, int dim, int dimV, boolean sink) {}

    private final Arena arena;
    private final Model model;
    private final Random random;
    private final List<Sample> alone = new ArrayList<>();
    private final int mostQ;
    private final int mostK;

    /** One sequence per element of {@code queries} and {@code keys}. */
    public RaggedBatch(Arena arena, Model model, Random random, int[] queries, int[] keys) {
        this.arena = arena;
        this.model = model;
        this.random = random;
        Tensor sink = model.sink ? Tensor.copyOf(arena, DataType.F32, gaussians(model.headsQ), model.headsQ) : null;
        Tensor weight = null;
        for (int b = 0; b < queries.length; b++) {
            Sample sample = Sample.of(
                    arena,
                    model.setting,
                    model.type,
                    new Sample.Shape(1, queries[b], keys[b], model.headsQ, model.headsKv, model.dim, model.dimV));
            weight = b == 0 ? sample.operands().normWeight() : weight;
            alone.add(sample.with(sample.operands().withNormWeight(weight).withSink(sink)));
        }
        // At times a row more than any sequence needs.
        mostQ = Arrays.stream(queries).max().orElseThrow() + random.nextInt(2);
        mostK = Arrays.stream(keys).max().orElseThrow() + random.nextInt(2);
    }

    private float[] gaussians(int n) {
        float[] values = new float[n];
        for (int i = 0; i < n; i++) {
            values[i] = (float) random.nextGaussian();
        }
        return values;
    }

    /** A builder that fits. */
    public GatedAttention.Builder builder(Target target) {
        return target.builder(model.setting, model.type, model.headsQ, model.headsKv, model.dim, model.dimV);
    }

    /** The operands of a sequence's own call. */
    public Operands alone(int b) {
        return alone.get(b).operands();
    }

    /** Computes each sequence in a call of its own. */
    public void attendAlone(GatedAttention attention) {
        for (Sample sample : alone) {
            sample.spoilOutputs();
            attention.forward(sample.operands());
        }
    }

    /** Each sequence alone. */
    List<Sample> alone() {
        return alone;
    }

    /** Where the queries of sequence b lie on the batch axis and where they begin on the sequence axis. */
    int[] queryPlace(Queries layout, int b) {
        return new int[] {layout == Queries.PACKED ? 0 : b, queryRows(layout)[b]};
    }

    /** The same for its keys. */
    int[] keyPlace(Keys layout, int b) {
        return switch (layout) {
            case PACKED -> new int[] {0, IntStream.range(0, b).map(this::keys).sum()};
            case RIGHT_PADDED -> new int[] {b, 0};
            case LEFT_PADDED -> new int[] {b, mostK - keys(b)};
            case PAGED -> throw new IllegalArgumentException("pages have many places");
        };
    }

    private int queries(int b) {
        return (int) alone.get(b).operands().q().dim(1);
    }

    private int keys(int b) {
        return (int) alone.get(b).operands().k().dim(1);
    }

    private int[] queryRows(Queries layout) {
        int[] rows = new int[alone.size() + 1];
        for (int b = 0; b < alone.size(); b++) {
            rows[b + 1] = layout == Queries.PACKED ? rows[b] + queries(b) : 0;
        }
        return rows;
    }

    /** The operands of one call for all sequences; its outputs are NaN. */
    public Operands together(Queries queries, Keys keys) {
        int[] rows = queryRows(queries);
        boolean packed = queries == Queries.PACKED;
        int batch = alone.size();
        long entries = packed ? 1 : batch;
        long length = packed ? rows[batch] : mostQ;
        Tensor q = nan(model.type, entries, length, model.headsQ, model.dim);
        Tensor gate = model.setting.gated()
                ? Tensor.allocate(
                        arena, model.type, entries, length, model.headsQ, model.setting.headwise() ? 1 : model.dimV)
                : null;
        for (int b = 0; b < batch; b++) {
            Operands own = alone.get(b).operands();
            copy(own.q(), q, packed ? 0 : b, rows[b]);
            copy(own.gate(), gate, packed ? 0 : b, rows[b]);
        }
        Tensor queryLengths = packed
                ? null
                : numbers(IntStream.range(0, batch).map(this::queries).toArray());
        Tensor cuSeqlensQ = packed ? numbers(rows) : null;
        Placed placed = place(keys);
        Operands first = alone.getFirst().operands();
        return Operands.of(q, placed.k, placed.v, gate, nan(model.type, entries, length, model.headsQ, model.dimV))
                .withLse(nan(DataType.F32, entries, model.headsQ, length))
                .withNormWeight(first.normWeight())
                .withSink(first.sink())
                .withSequences(new Sequences(
                        queryLengths, placed.lengths, placed.starts, cuSeqlensQ, placed.cuSeqlensK, placed.blockTable));
    }

    private record Placed(
            Tensor k,
            Tensor v,
            @Nullable Tensor lengths,
            @Nullable Tensor starts,
            @Nullable Tensor cuSeqlensK,
            @Nullable Tensor blockTable) {}

    private Placed place(Keys layout) {
        int batch = alone.size();
        int[] lengths = IntStream.range(0, batch).map(this::keys).toArray();
        if (layout == Keys.PAGED) {
            return page(lengths);
        }
        boolean packed = layout == Keys.PACKED;
        int[] starts = new int[batch];
        int[] cu = new int[batch + 1];
        for (int b = 0; b < batch; b++) {
            cu[b + 1] = cu[b] + lengths[b];
            starts[b] = layout == Keys.LEFT_PADDED ? mostK - lengths[b] : 0;
        }
        long length = packed ? cu[batch] : mostK;
        Tensor k = nan(model.type, packed ? 1 : batch, length, model.headsKv, model.dim);
        Tensor v = nan(model.type, packed ? 1 : batch, length, model.headsKv, model.dimV);
        for (int b = 0; b < batch; b++) {
            copy(alone.get(b).operands().k(), k, packed ? 0 : b, packed ? cu[b] : starts[b]);
            copy(alone.get(b).operands().v(), v, packed ? 0 : b, packed ? cu[b] : starts[b]);
        }
        return new Placed(
                k,
                v,
                layout == Keys.RIGHT_PADDED ? numbers(lengths) : null,
                layout == Keys.LEFT_PADDED ? numbers(starts) : null,
                packed ? numbers(cu) : null,
                null);
    }

    /** In pages in any order, of any size; at times the sequence begins in the middle of one. */
    private Placed page(int[] lengths) {
        int batch = alone.size();
        int pageSize = new int[] {1, 3, 16, 64, 256}[random.nextInt(5)];
        int[] starts = new int[batch];
        int most = 1;
        for (int b = 0; b < batch; b++) {
            starts[b] = random.nextInt(2 * pageSize);
            most = Math.max(most, starts[b] + lengths[b]);
        }
        int perSequence = Math.ceilDiv(most, pageSize);
        List<Integer> order = new ArrayList<>(
                IntStream.range(0, batch * perSequence + 2).boxed().toList());
        Collections.shuffle(order, random);
        Tensor k = nan(model.type, order.size(), pageSize, model.headsKv, model.dim);
        Tensor v = nan(model.type, order.size(), pageSize, model.headsKv, model.dimV);
        int[] table = new int[batch * perSequence];
        Arrays.fill(table, -1);
        int[] ends = new int[batch];
        for (int b = 0; b < batch; b++) {
            ends[b] = starts[b] + lengths[b];
            for (int i = 0; i * pageSize < ends[b]; i++) {
                int at = b * perSequence + i;
                table[at] = order.get(at);
                int from = Math.max(starts[b], i * pageSize);
                int to = Math.min(ends[b], (i + 1) * pageSize);
                if (from < to) {
                    Operands own = alone.get(b).operands();
                    int row = from - i * pageSize;
                    copy(own.k().slice(1, from - starts[b], to - starts[b]), k, table[at], row);
                    copy(own.v().slice(1, from - starts[b], to - starts[b]), v, table[at], row);
                }
            }
        }
        Tensor blockTable = Tensor.copyOf(arena, DataType.I32, table, batch, perSequence);
        return new Placed(k, v, numbers(ends), numbers(starts), null, blockTable);
    }

    static void copy(@Nullable Tensor from, @Nullable Tensor to, long entry, long row) {
        if (from != null && to != null && from.dim(1) > 0) {
            to.slice(0, entry, entry + 1).slice(1, row, row + from.dim(1)).copyFrom(from);
        }
    }

    Tensor nan(DataType type, long... shape) {
        Tensor tensor = Tensor.allocate(arena, type, shape);
        tensor.segment().fill((byte) 0xFF);
        return tensor;
    }

    private Tensor numbers(int[] values) {
        return Tensor.copyOf(arena, DataType.I32, values, values.length);
    }

    /** What differs between a call for all and the calls alone; null when nothing does. */
    public @Nullable String difference(Operands together, Queries queries) {
        int[] rows = queryRows(queries);
        for (int b = 0; b < alone.size(); b++) {
            Operands own = alone.get(b).operands();
            int entry = queries == Queries.PACKED ? 0 : b;
            int n = queries(b);
            Tensor out = together.out().slice(0, entry, entry + 1);
            Tensor lse = together.lse().slice(0, entry, entry + 1);
            if (!sameBits(out.slice(1, rows[b], rows[b] + n), own.out())
                    || !sameBits(lse.slice(2, rows[b], rows[b] + n), own.lse())) {
                return "sequence " + b + " of " + n + " queries and " + keys(b) + " keys has other bits than alone";
            }
            if (queries == Queries.PADDED && !isBlank(out.slice(1, n, out.dim(1)), lse.slice(2, n, out.dim(1)))) {
                return "padding of sequence " + b + " was not written as rows that see no key";
            }
        }
        return null;
    }

    boolean sameBits(Tensor actual, Tensor expected) {
        Tensor copy = Tensor.allocate(arena, actual.dataType(), actual.shape());
        copy.copyFrom(actual);
        return copy.segment().mismatch(expected.segment()) == -1;
    }

    /** Whether rows are those of queries that see no key; the gate is 0 there. */
    private boolean isBlank(Tensor out, Tensor lse) {
        Setting setting = model.setting;
        boolean adds = setting.gated() && setting.combination() == Combination.ADD;
        double expected = adds ? Activations.apply(setting.activation(), 0) : 0;
        for (float element : out.toFloatArray()) {
            if (Math.abs(element - expected) > Floats.roundoff(model.type)) {
                return false;
            }
        }
        Tensor sink = alone.getFirst().operands().sink();
        float[] sums = lse.toFloatArray();
        for (int i = 0; i < sums.length; i++) {
            if (sums[i] != (sink == null ? Float.NEGATIVE_INFINITY : sink.getFloat(i / lse.dim(2)))) {
                return false;
            }
        }
        return true;
    }
}
