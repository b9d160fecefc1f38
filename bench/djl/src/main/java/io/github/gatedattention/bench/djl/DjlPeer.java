package io.github.gatedattention.bench.djl;

import ai.djl.Device;
import ai.djl.ndarray.NDArray;
import ai.djl.ndarray.NDManager;
import ai.djl.ndarray.types.Shape;
import io.github.gatedattention.baselines.AttentionShape;
import io.github.gatedattention.bench.Gating;
import io.github.gatedattention.bench.Inputs;
import io.github.gatedattention.bench.peers.CausalMask;
import io.github.gatedattention.bench.peers.Peer;
import org.jspecify.annotations.Nullable;

/**
 * Attention composed from DJL's operators, as DJL has none of its own; then sigmoid and multiplication.
 *
 * <p>Operands are [B, Hq, S, D], K is transposed to [B, Hq, D, Sk], and K and V are repeated to Hq heads, once and
 * untimed. {@code matMul} is faster than {@code batchDot}.
 */
public final class DjlPeer implements Peer {
    private final AttentionShape shape;
    private final NDManager manager = NDManager.newBaseManager(Device.cpu(), "PyTorch");
    private final NDArray q;
    private final NDArray transposedKeys;
    private final NDArray v;
    private final @Nullable NDArray gate; // null without a gate
    private final @Nullable NDArray mask; // [Sq, Sk], null where the query sees every key
    private @Nullable NDArray last;

    /**
     * Makes the operands.
     *
     * @param inputs their values
     * @param threads ignored: the engine reads a system property
     */
    public DjlPeer(Inputs inputs, int threads) {
        shape = inputs.workload().shape();
        q = tensor(inputs.q(), shape.queryLength(), shape.queryHeads());
        transposedKeys = repeated(inputs.k()).transpose(0, 1, 3, 2).duplicate();
        v = repeated(inputs.v());
        gate = inputs.workload().gating() == Gating.NONE
                ? null
                : tensor(inputs.gateScores(), shape.queryLength(), shape.queryHeads());
        mask = shape.queryLength() == 1
                ? null
                : manager.create(CausalMask.of(shape), new Shape(shape.queryLength(), shape.keyLength()));
    }

    /** [B, S, H, D] to [B, H, S, D]. */
    private NDArray tensor(float[] values, int length, int heads) {
        int dim = values.length / (shape.batch() * length * heads);
        float[] byHead = Inputs.exchangeAxes(values, shape.batch(), length, heads, dim);
        return manager.create(byHead, new Shape(shape.batch(), heads, length, dim));
    }

    /** [B, Sk, Hkv, D] to [B, Hq, Sk, D]. */
    private NDArray repeated(float[] values) {
        NDArray heads = tensor(values, shape.keyLength(), shape.keyValueHeads());
        if (shape.groupSize() == 1) {
            return heads;
        }
        NDArray groups = heads.repeat(1, shape.groupSize());
        heads.close();
        return groups;
    }

    @Override
    public void forward() {
        try (NDManager call = manager.newSubManager()) {
            NDArray scaled = q.mul(shape.scale());
            scaled.attach(call);
            NDArray scores = scaled.matMul(transposedKeys);
            scores.attach(call);
            if (mask != null) {
                scores.addi(mask);
            }
            NDArray weights = scores.softmax(-1);
            weights.attach(call);
            NDArray out = weights.matMul(v);
            out.attach(call);
            if (gate != null) {
                NDArray factor = gate.getNDArrayInternal().sigmoid();
                factor.attach(call);
                out.muli(factor);
            }
            keep(out);
        }
    }

    private void keep(NDArray out) {
        if (last != null) {
            last.close();
        }
        out.attach(manager);
        last = out;
    }

    @Override
    public float[] output() {
        if (last == null) {
            throw new IllegalStateException("nothing was computed");
        }
        return Inputs.exchangeAxes(
                last.toFloatArray(), shape.batch(), shape.queryHeads(), shape.queryLength(), shape.headDim());
    }

    @Override
    public void close() {
        manager.close();
    }
}
