package io.github.gatedattention.bench.peers;

import io.github.gatedattention.baselines.AttentionShape;
import io.github.gatedattention.bench.Gating;
import io.github.gatedattention.bench.Inputs;
import io.github.gatedattention.bench.Precision;
import java.util.ArrayList;
import java.util.List;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.BoolOptional;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.TensorVector;
import org.bytedeco.pytorch.global.torch;

/**
 * PyTorch's scaled_dot_product_attention times sigmoid, and autograd's gradients of both.
 *
 * <p>Operands are [B, H, S, D], and K and V are repeated to Hq heads once and untimed: their gradients are left per query head, and
 * summed over the group where they are looked at, untimed as well.
 */
final class PyTorchTrainer implements Trainer {
    static final String TUNING =
            "autograd of the flash kernel for CPUs; the settings of its forward; the gradients of the repeated"
                    + " K and V are not summed over the group, which is not timed";

    private final AttentionShape shape;
    private final boolean gated;
    private final Tensor q;
    private final Tensor k;
    private final Tensor v;
    private final Tensor gate;
    private final Tensor dOut;
    private final TensorOptional noMask = new TensorOptional();
    private final DoubleOptional defaultScale = new DoubleOptional();
    private final List<float[]> last = new ArrayList<>();

    PyTorchTrainer(Inputs inputs, float[] dOut, int threads) {
        shape = inputs.workload().shape();
        if (shape.queryLength() != shape.keyLength()) {
            throw new UnsupportedOperationException("PyTorch aligns causal to the top left");
        }
        Loader.load(torch.class);
        torch.set_num_threads(threads);
        torch.globalContext().setSDPUseFlash(true);
        torch.ScalarType type =
                inputs.precision() == Precision.BF16 ? torch.ScalarType.BFloat16 : torch.ScalarType.Float;
        int group = shape.groupSize();
        gated = inputs.workload().gating() != Gating.NONE;
        q = leaf(inputs.q(), shape.queryLength(), shape.queryHeads(), 1, type);
        k = leaf(inputs.k(), shape.keyLength(), shape.keyValueHeads(), group, type);
        v = leaf(inputs.v(), shape.keyLength(), shape.keyValueHeads(), group, type);
        gate = leaf(inputs.gateScores(), shape.queryLength(), shape.queryHeads(), 1, type);
        this.dOut = tensor(dOut, shape.queryLength(), shape.queryHeads(), 1, type);
    }

    private Tensor leaf(float[] values, int length, int heads, int repeats, torch.ScalarType type) {
        Tensor tensor = tensor(values, length, heads, repeats, type);
        tensor.set_requires_grad(true);
        return tensor;
    }

    /** [B, S, H, D] to [B, H * repeats, S, D]. */
    private Tensor tensor(float[] values, int length, int heads, int repeats, torch.ScalarType type) {
        try (FloatPointer copy = new FloatPointer(values)) {
            long dim = values.length / ((long) shape.batch() * length * heads); // 1 for a gate with a score per head
            return torch.from_blob(copy, shape.batch(), length, heads, dim)
                    .permute(0, 2, 1, 3)
                    .repeat_interleave(repeats, new LongOptional(1), new LongOptional())
                    .to(type)
                    .contiguous()
                    .clone();
        }
    }

    @Override
    @SuppressWarnings("try") // the scope is used by being open
    public void step() {
        try (PointerScope scope = new PointerScope()) {
            differentiate();
        }
    }

    private TensorVector differentiate() {
        Tensor attended = torch.scaled_dot_product_attention(q, k, v, noMask, 0.0, true, defaultScale, false);
        Tensor out = gated ? attended.mul(gate.sigmoid()) : attended;
        TensorVector inputs = gated ? new TensorVector(q, k, v, gate) : new TensorVector(q, k, v);
        return torch.grad(new TensorVector(out), inputs, new TensorVector(dOut), new BoolOptional(false), false, false);
    }

    @Override
    @SuppressWarnings("try")
    public List<float[]> gradients() {
        last.clear();
        try (PointerScope scope = new PointerScope()) {
            TensorVector gradients = differentiate();
            int group = shape.groupSize();
            for (int n = 0; n < gradients.size(); n++) {
                boolean ofKeys = n == 1 || n == 2;
                Tensor gradient = gradients.get(n).to(torch.ScalarType.Float);
                long dim = gradient.size(3);
                int heads = ofKeys ? shape.keyValueHeads() : shape.queryHeads();
                Tensor rows = gradient.reshape(shape.batch(), heads, ofKeys ? group : 1, shape.queryLength(), dim)
                        .sum(2)
                        .permute(0, 2, 1, 3)
                        .contiguous();
                float[] values = new float[(int) rows.numel()];
                new FloatPointer(rows.data_ptr()).get(values);
                last.add(values);
            }
        }
        return List.copyOf(last);
    }

    @Override
    public void close() {
        for (Tensor tensor : new Tensor[] {q, k, v, gate, dOut}) {
            tensor.close();
        }
    }
}
