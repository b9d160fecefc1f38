package io.github.gatedattention.bench.peers;

import io.github.gatedattention.baselines.AttentionShape;
import io.github.gatedattention.bench.Gating;
import io.github.gatedattention.bench.Inputs;
import io.github.gatedattention.bench.Precision;
import org.bytedeco.javacpp.FloatPointer;
import org.bytedeco.javacpp.Loader;
import org.bytedeco.javacpp.PointerScope;
import org.bytedeco.pytorch.DoubleOptional;
import org.bytedeco.pytorch.LongOptional;
import org.bytedeco.pytorch.Tensor;
import org.bytedeco.pytorch.TensorOptional;
import org.bytedeco.pytorch.global.torch;

/**
 * PyTorch's scaled_dot_product_attention, then sigmoid and mul into preallocated tensors.
 *
 * <p>Operands are [B, H, S, D] and K and V are repeated to Hq heads, both once and untimed. OpenBLAS, which PyTorch's
 * JAR brings along, reads its settings from the environment when it is loaded: the launcher sets them.
 */
final class PyTorchPeer implements Peer {
    static final String TUNING =
            "OPENBLAS_NUM_THREADS=1 (else its threads fight OpenMP's), OPENBLAS_CORETYPE=SkylakeX on"
                    + " AVX-512 (newer processors are taken for a Haswell), a PointerScope around each call;"
                    + " operands [B, H, S, D], K and V repeated to Hq heads";

    private final AttentionShape shape;
    private final boolean causal;
    private final boolean gated;
    private final Tensor q;
    private final Tensor k;
    private final Tensor v;
    private final Tensor gate;
    private final Tensor factor;
    private final Tensor out;
    private final TensorOptional noMask = new TensorOptional();
    private final DoubleOptional defaultScale = new DoubleOptional();

    PyTorchPeer(Inputs inputs, int threads) {
        shape = inputs.workload().shape();
        // PyTorch aligns causal to the top left: a single query would see one key.
        causal = shape.queryLength() > 1;
        Loader.load(torch.class);
        torch.set_num_threads(threads);
        boolean bf16 = inputs.precision() == Precision.BF16;
        torch.globalContext().setSDPUseFlash(!(bf16 && causal));
        torch.ScalarType type = bf16 ? torch.ScalarType.BFloat16 : torch.ScalarType.Float;
        int group = shape.groupSize();
        q = tensor(inputs.q(), shape.queryLength(), shape.queryHeads(), 1, type);
        k = tensor(inputs.k(), shape.keyLength(), shape.keyValueHeads(), group, type);
        v = tensor(inputs.v(), shape.keyLength(), shape.keyValueHeads(), group, type);
        gated = inputs.workload().gating() != Gating.NONE;
        gate = tensor(inputs.gateScores(), shape.queryLength(), shape.queryHeads(), 1, type);
        factor = gate.clone();
        out = q.clone();
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
    public void forward() {
        try (PointerScope scope = new PointerScope()) {
            Tensor attended = attend();
            if (gated) {
                torch.sigmoid_out(factor, gate);
                torch.mul_out(out, attended, factor);
            }
        }
    }

    private Tensor attend() {
        return torch.scaled_dot_product_attention(q, k, v, noMask, 0.0, causal, defaultScale, false);
    }

    @Override
    @SuppressWarnings("try")
    public float[] output() {
        try (PointerScope scope = new PointerScope()) {
            Tensor last = gated ? out : attend(); // without a gate the result is PyTorch's own tensor
            Tensor rows = last.permute(0, 2, 1, 3).contiguous().to(torch.ScalarType.Float);
            float[] values = new float[shape.queryElements()];
            new FloatPointer(rows.data_ptr()).get(values);
            return values;
        }
    }

    @Override
    public void close() {
        for (Tensor tensor : new Tensor[] {q, k, v, gate, factor, out}) {
            tensor.close();
        }
    }
}
