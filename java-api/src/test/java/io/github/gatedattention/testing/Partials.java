package io.github.gatedattention.testing;

import io.github.gatedattention.DataType;
import io.github.gatedattention.Gate;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Mask;
import io.github.gatedattention.MergeOperands;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Tensor;
import java.lang.foreign.Arena;

/** Attention of a sample on each of several slices of its keys, without gate and sink, and what merges them. */
public final class Partials {
    private Partials() {}

    /**
     * Computes partial results.
     *
     * @param whole of a causal setting without a window
     * @param borders the first key of each slice, and the end of the last
     * @return a merge into the outputs of {@code whole}
     */
    public static MergeOperands of(Arena arena, Sample whole, Target target, int... borders) {
        Operands o = whole.operands();
        int count = borders.length - 1;
        long[] q = o.q().shape();
        DataType type = o.q().dataType();
        Tensor outs = Tensor.allocate(arena, type, count, q[0], q[1], q[2], o.v().dim(3));
        Tensor lses = Tensor.allocate(arena, DataType.F32, count, q[0], q[2], q[1]);
        for (int n = 0; n < count; n++) {
            // The last query stands on the last key of a slice; a window to the right puts it back to where it stood.
            Mask mask = Mask.none().withWindow(-1, o.k().dim(1) - borders[n + 1]);
            try (GatedAttention part =
                    whole.builder(target).gate(Gate.none()).mask(mask).build()) {
                part.forward(Operands.of(
                                o.q(),
                                o.k().slice(1, borders[n], borders[n + 1]),
                                o.v().slice(1, borders[n], borders[n + 1]),
                                null,
                                outs.select(0, n))
                        .withLse(lses.select(0, n)));
            }
        }
        return new MergeOperands(outs, lses, o.gate(), o.out(), o.normWeight(), o.lse(), o.sink());
    }
}
