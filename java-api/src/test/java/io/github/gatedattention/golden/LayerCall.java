package io.github.gatedattention.golden;

import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Sequences;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Floats;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Attention of a layer through the API. The query projection's buffer is used where it lies: q and gate are views of it. Keys and
 * values stand in a cache that is NaN beyond what was appended.
 */
final class LayerCall implements AutoCloseable {
    private final Arena arena = Arena.ofConfined();
    private final AttentionLayer layer;
    private final AttentionLayer.Projected projected;
    private final GatedAttention attention;
    private final Tensor packed;
    private final Tensor k;
    private final Tensor v;
    private final Tensor out;
    private final Tensor lse;

    /** Tensors for all of {@code projected}, with {@code capacity} rows of cache per sequence, none appended yet. */
    LayerCall(Target target, DataType type, AttentionLayer.Projected projected, int capacity) {
        this.layer = projected.layer();
        this.projected = projected;
        long batch = projected.batch();
        long sequence = projected.sequence();
        packed =
                Tensor.allocate(arena, type, batch, sequence, projected.packed().shape()[3]);
        k = nan(Tensor.allocate(arena, type, batch, capacity, layer.headsKv(), layer.dim()));
        v = nan(Tensor.allocate(arena, type, batch, capacity, layer.headsKv(), layer.dim()));
        out = nan(Tensor.allocate(arena, type, batch, sequence, layer.headsQ(), layer.dim()));
        lse = nan(Tensor.allocate(arena, DataType.F32, batch, layer.headsQ(), sequence));
        fill(packed, 0, projected.packed().values(), 0, projected.packed().values().length);
        boolean grouped = layer.packing().grouped();
        attention = target.builder(
                        layer.setting(),
                        type,
                        grouped ? layer.group() : layer.headsQ(),
                        grouped ? 1 : layer.headsKv(),
                        layer.dim(),
                        layer.dim())
                .build();
    }

    private static Tensor nan(Tensor tensor) {
        tensor.segment().fill((byte) 0xFF);
        return tensor;
    }

    private static void fill(Tensor tensor, long at, double[] values, int from, int count) {
        for (int n = 0; n < count; n++) {
            Floats.put(tensor.segment(), tensor.dataType(), at + n, values[from + n]);
        }
    }

    /** Appends the keys and values of tokens {@code from} to {@code to} of every sequence to the cache, at the same positions. */
    LayerCall append(int from, int to) {
        int row = layer.headsKv() * layer.dim();
        for (int b = 0; b < projected.batch(); b++) {
            long at = (b * k.dim(1) + from) * row;
            int source = (b * projected.sequence() + from) * row;
            fill(k, at, projected.k().values(), source, (to - from) * row);
            fill(v, at, projected.v().values(), source, (to - from) * row);
        }
        return this;
    }

    /** Every token of every sequence. */
    LayerCall all() {
        long sequence = projected.sequence();
        if (layer.packing().grouped()) {
            for (int b = 0; b < projected.batch(); b++) {
                one(b, 0, sequence, 0, sequence, null);
            }
        } else {
            List<Tensor> views = layer.packing().split(packed, layer.headsQ(), layer.dim());
            attention.forward(
                    Operands.of(views.getFirst(), k.slice(1, 0, sequence), v.slice(1, 0, sequence), gate(views), out)
                            .withLse(lse));
        }
        return this;
    }

    /** The queries {@code from} to {@code to} of one sequence, which see the cache's rows {@code keysFrom} to {@code keysTo}. */
    LayerCall one(int b, long from, long to, long keysFrom, long keysTo, @Nullable Integer keyLength) {
        Sequences sequences = keyLength == null ? null : Sequences.padded(null, lengths(keyLength));
        return call(b, from, to, keysFrom, keysTo, sequences);
    }

    /** All tokens of one sequence, whose keys begin at {@code start}. */
    LayerCall leftPadded(int b, int start) {
        long sequence = projected.sequence();
        return call(b, 0, sequence, 0, sequence, Sequences.leftPadded(lengths(start)));
    }

    private LayerCall call(int b, long from, long to, long keysFrom, long keysTo, @Nullable Sequences sequences) {
        boolean grouped = layer.packing().grouped();
        List<Tensor> views = grouped
                ? layer.packing()
                        .splitGroups(
                                packed.select(0, b).slice(0, from, to), layer.headsKv(), layer.group(), layer.dim())
                : layer.packing().split(packed.slice(0, b, b + 1).slice(1, from, to), layer.headsQ(), layer.dim());
        Tensor outs = out.slice(0, b, b + 1).slice(1, from, to);
        Tensor lses = lse.slice(0, b, b + 1).slice(2, from, to);
        attention.forward(Operands.of(
                        views.getFirst(),
                        keys(k, b, keysFrom, keysTo),
                        keys(v, b, keysFrom, keysTo),
                        gate(views),
                        grouped ? groups(outs.select(0, 0), layer.group()) : outs)
                .withLse(grouped ? lses.reshape(layer.headsKv(), layer.group(), to - from) : lses)
                .withSequences(sequences));
        return this;
    }

    private static @Nullable Tensor gate(List<Tensor> views) {
        return views.size() == 1 ? null : views.get(1);
    }

    private Tensor keys(Tensor cache, int b, long from, long to) {
        Tensor rows = cache.slice(0, b, b + 1).slice(1, from, to);
        return layer.packing().grouped() ? groups(rows.select(0, 0), 1) : rows;
    }

    /** {@code [S, Hkv perHead, D]} with groups in the place of the batch: {@code [Hkv, S, perHead, D]}. */
    private Tensor groups(Tensor rows, int perHead) {
        return rows.reshape(rows.dim(0), layer.headsKv(), perHead, layer.dim()).transpose(0, 1);
    }

    private Tensor lengths(int length) {
        int[] lengths = new int[layer.packing().grouped() ? layer.headsKv() : 1];
        Arrays.fill(lengths, length);
        return Tensor.copyOf(arena, DataType.I32, lengths, lengths.length);
    }

    /** {@code [B, S, Hq, D]}. */
    DoubleTensor out() {
        return DoubleTensor.of(out);
    }

    /** {@code [1, B, Hq, S]}. */
    DoubleTensor lse() {
        return DoubleTensor.of(lse);
    }

    @Override
    public void close() {
        attention.close();
        arena.close();
    }
}
