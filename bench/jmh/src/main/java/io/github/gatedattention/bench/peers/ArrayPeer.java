package io.github.gatedattention.bench.peers;

import io.github.gatedattention.baselines.AttentionShape;
import io.github.gatedattention.baselines.FloatAttention;
import io.github.gatedattention.baselines.Layout;
import io.github.gatedattention.bench.Gating;
import io.github.gatedattention.bench.Inputs;
import java.util.function.BiFunction;

/** The implementations in Java: {@code float[]} operands, head by head, so that the rows of a head are contiguous. */
final class ArrayPeer implements Peer {
    private final AttentionShape shape;
    private final FloatAttention attention;
    private final float[] q;
    private final float[] k;
    private final float[] v;
    private final float[] gate;
    private final float[] out;

    ArrayPeer(Inputs inputs, int threads, BiFunction<AttentionShape, Integer, ? extends FloatAttention> way) {
        AttentionShape s = inputs.workload().shape();
        if (inputs.workload().gating() != Gating.ELEMENTWISE) {
            throw new UnsupportedOperationException("this baseline knows the element-wise gate only");
        }
        shape = new AttentionShape(
                s.batch(),
                s.queryHeads(),
                s.keyValueHeads(),
                s.queryLength(),
                s.keyLength(),
                s.headDim(),
                s.causal(),
                Layout.HEAD_MAJOR);
        attention = way.apply(shape, threads);
        q = Inputs.exchangeAxes(inputs.q(), s.batch(), s.queryLength(), s.queryHeads(), s.headDim());
        k = Inputs.exchangeAxes(inputs.k(), s.batch(), s.keyLength(), s.keyValueHeads(), s.headDim());
        v = Inputs.exchangeAxes(inputs.v(), s.batch(), s.keyLength(), s.keyValueHeads(), s.headDim());
        gate = Inputs.exchangeAxes(inputs.gate(), s.batch(), s.queryLength(), s.queryHeads(), s.headDim());
        out = new float[q.length];
    }

    @Override
    public void forward() {
        attention.forward(q, k, v, gate, out);
    }

    @Override
    public float[] output() {
        return Inputs.exchangeAxes(out, shape.batch(), shape.queryHeads(), shape.queryLength(), shape.headDim());
    }

    @Override
    public void close() {
        attention.close();
    }
}
