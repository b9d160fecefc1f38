package io.github.gatedattention.testing;

import io.github.gatedattention.BackwardOperands;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.testing.RaggedBatch.Keys;
import io.github.gatedattention.testing.RaggedBatch.Queries;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The gradients of a {@link RaggedBatch}: of each sequence alone, and of all in one call. Padding of dOut is NaN. */
public final class RaggedGradients {
    private final RaggedBatch batch;
    private final List<GradientSample> alone = new ArrayList<>();

    /** Computes each sequence alone, forward and backward. */
    public RaggedGradients(Arena arena, RaggedBatch batch, Target target, GatedAttention attention) {
        this.batch = batch;
        for (Sample sample : batch.alone()) {
            GradientSample gradients = GradientSample.of(arena, sample, target);
            attention.backward(gradients.operands());
            alone.add(gradients);
        }
    }

    /** The operands of one call for all, whose forward call was made; their gradients are NaN. */
    public BackwardOperands together(Operands forward, Queries queries) {
        Tensor dOut = nan(forward.out());
        for (int b = 0; b < alone.size(); b++) {
            int[] place = batch.queryPlace(queries, b);
            RaggedBatch.copy(alone.get(b).operands().dOut(), dOut, place[0], place[1]);
        }
        Tensor gate = forward.gate();
        return BackwardOperands.of(
                forward, dOut, nan(forward.q()), nan(forward.k()), nan(forward.v()), gate == null ? null : nan(gate));
    }

    private Tensor nan(Tensor like) {
        return batch.nan(like.dataType(), like.shape());
    }

    /** What differs between a call for all and the calls alone; null when nothing does. */
    public @Nullable String difference(BackwardOperands together, Queries queries, Keys keys) {
        for (int b = 0; b < alone.size(); b++) {
            BackwardOperands own = alone.get(b).operands();
            int[] query = batch.queryPlace(queries, b);
            int[] key = batch.keyPlace(keys, b);
            String wrong = difference("dQ", b, own.dQ(), together.dQ(), query, queries == Queries.PACKED);
            wrong = wrong != null
                    ? wrong
                    : difference("dGate", b, own.dGate(), together.dGate(), query, queries == Queries.PACKED);
            wrong = wrong != null ? wrong : difference("dK", b, own.dK(), together.dK(), key, keys == Keys.PACKED);
            wrong = wrong != null ? wrong : difference("dV", b, own.dV(), together.dV(), key, keys == Keys.PACKED);
            if (wrong != null) {
                return wrong;
            }
        }
        return null;
    }

    private @Nullable String difference(
            String name, int b, @Nullable Tensor own, @Nullable Tensor all, int[] place, boolean packed) {
        if (own == null || all == null) {
            return null;
        }
        Tensor entry = all.slice(0, place[0], place[0] + 1);
        long end = place[1] + own.dim(1);
        if (!batch.sameBits(entry.slice(1, place[1], end), own)) {
            return name + " of sequence " + b + " has other bits than alone";
        }
        if (!packed && !(isZero(entry.slice(1, 0, place[1])) && isZero(entry.slice(1, end, all.dim(1))))) {
            return name + " of the padding of sequence " + b + " is not 0";
        }
        return null;
    }

    private static boolean isZero(Tensor tensor) {
        for (float element : tensor.toFloatArray()) {
            if (element != 0) {
                return false;
            }
        }
        return true;
    }
}
