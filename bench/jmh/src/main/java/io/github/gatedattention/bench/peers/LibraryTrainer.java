package io.github.gatedattention.bench.peers;

import io.github.gatedattention.BackwardOperands;
import io.github.gatedattention.DataType;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.bench.Inputs;
import java.util.ArrayList;
import java.util.List;

/** This library, forward with its log-sum-exp, then backward. */
final class LibraryTrainer extends LibraryPeer implements Trainer {
    private final BackwardOperands operands;

    LibraryTrainer(Inputs inputs, float[] dOut, int threads) {
        super(inputs, threads);
        long[] shape = q.shape();
        Operands forward = Operands.of(q, k, v, gate, out)
                .withLse(Tensor.allocate(arena, DataType.F32, shape[0], shape[2], shape[1]));
        operands = BackwardOperands.of(
                forward,
                Tensor.copyOf(arena, q.dataType(), dOut, shape),
                like(q),
                like(k),
                like(v),
                gate == null ? null : like(gate));
    }

    private Tensor like(Tensor tensor) {
        return Tensor.allocate(arena, tensor.dataType(), tensor.shape());
    }

    @Override
    public void step() {
        attention.forward(operands.forward());
        attention.backward(operands);
    }

    @Override
    public List<float[]> gradients() {
        List<float[]> gradients = new ArrayList<>();
        for (Tensor gradient : new Tensor[] {operands.dQ(), operands.dK(), operands.dV(), operands.dGate()}) {
            if (gradient != null) {
                gradients.add(gradient.toFloatArray());
            }
        }
        return gradients;
    }
}
