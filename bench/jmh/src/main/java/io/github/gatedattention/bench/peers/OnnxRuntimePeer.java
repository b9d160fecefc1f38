package io.github.gatedattention.bench.peers;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.github.gatedattention.baselines.AttentionShape;
import io.github.gatedattention.bench.Gating;
import io.github.gatedattention.bench.Inputs;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Objects;
import java.util.function.UnaryOperator;

/**
 * ONNX Runtime's GroupQueryAttention, or the standard's Attention, with Sigmoid and Mul after it.
 *
 * <p>All tensors are pinned off-heap. GroupQueryAttention's {@code present} is its {@code past}: the operator then
 * writes the new keys into the cache where it is, as a decoding program would have it, and copies nothing else.
 */
final class OnnxRuntimePeer implements Peer {
    static final String TUNING = "all optimizations; inputs, outputs and cache pinned off-heap, present = past";
    static final String ATTENTION_TUNING = "all optimizations; inputs and outputs pinned off-heap, [B, H, S, D]";

    private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
    private final OrtSession session;
    private final Map<String, OnnxTensor> inputs = new HashMap<>();
    private final Map<String, OnnxTensor> outputs = new HashMap<>();
    private final FloatBuffer out;
    private final UnaryOperator<float[]> toSequenceMajor;

    private OnnxRuntimePeer(byte[] model, int threads, int elements, UnaryOperator<float[]> toSequenceMajor)
            throws OrtException {
        try (var options = new OrtSession.SessionOptions()) {
            options.setIntraOpNumThreads(threads);
            options.setInterOpNumThreads(1);
            options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.ALL_OPT);
            session = environment.createSession(model, options);
        }
        this.toSequenceMajor = toSequenceMajor;
        out = direct(new float[elements]);
    }

    /** GroupQueryAttention. */
    static Peer groupQueryAttention(Inputs operands, int threads) throws OrtException {
        AttentionShape s = operands.workload().shape();
        Gating gating = operands.workload().gating();
        var peer = new OnnxRuntimePeer(
                OnnxModel.groupQueryAttention(s, gating), threads, s.queryElements(), UnaryOperator.identity());
        long[] queries = {s.batch(), s.queryLength(), (long) s.queryHeads() * s.headDim()};
        long[] byHead = {s.batch(), s.queryLength(), s.queryHeads(), s.headDim()};
        long[] newKeys = {s.batch(), s.queryLength(), (long) s.keyValueHeads() * s.headDim()};
        peer.input(OnnxModel.QUERY, operands.q(), queries);
        peer.input(OnnxModel.KEY, newest(operands.k(), s), newKeys);
        peer.input(OnnxModel.VALUE, newest(operands.v(), s), newKeys);
        long[] cache = {s.batch(), s.keyValueHeads(), s.keyLength(), s.headDim()};
        peer.input(OnnxModel.PAST_KEY, cache(operands.k(), s), cache);
        peer.input(OnnxModel.PAST_VALUE, cache(operands.v(), s), cache);
        int[] lastKeys = new int[s.batch()];
        Arrays.fill(lastKeys, s.keyLength() - 1);
        peer.inputs.put(OnnxModel.LAST_KEY, peer.integers(lastKeys, s.batch()));
        peer.inputs.put(OnnxModel.KEY_COUNT, peer.integers(new int[] {s.keyLength()}));
        boolean headwise = gating == Gating.HEADWISE;
        if (gating != Gating.NONE) {
            long[] scores = {s.batch(), s.queryLength(), s.queryHeads(), 1};
            peer.input(OnnxModel.GATE, operands.gateScores(), headwise ? scores : queries);
        }
        peer.outputs.put(OnnxModel.OUTPUT, peer.tensor(peer.out, headwise ? byHead : queries));
        peer.outputs.put(OnnxModel.PRESENT_KEY, present(peer, OnnxModel.PAST_KEY));
        peer.outputs.put(OnnxModel.PRESENT_VALUE, present(peer, OnnxModel.PAST_VALUE));
        return peer;
    }

    /** Attention of opset 23. */
    static Peer attention(Inputs operands, int threads) throws OrtException {
        AttentionShape s = operands.workload().shape();
        var peer = new OnnxRuntimePeer(
                OnnxModel.attention(s, operands.workload().gating()),
                threads,
                s.queryElements(),
                out -> Inputs.exchangeAxes(out, s.batch(), s.queryHeads(), s.queryLength(), s.headDim()));
        peer.byHead(OnnxModel.QUERY, operands.q(), s, s.queryLength(), s.queryHeads(), s.headDim());
        peer.byHead(OnnxModel.KEY, operands.k(), s, s.keyLength(), s.keyValueHeads(), s.headDim());
        peer.byHead(OnnxModel.VALUE, operands.v(), s, s.keyLength(), s.keyValueHeads(), s.headDim());
        if (operands.workload().gating() != Gating.NONE) {
            float[] scores = operands.gateScores();
            peer.byHead(OnnxModel.GATE, scores, s, s.queryLength(), s.queryHeads(), operands.gateDim());
        }
        peer.outputs.put(
                OnnxModel.OUTPUT, peer.tensor(peer.out, s.batch(), s.queryHeads(), s.queryLength(), s.headDim()));
        return peer;
    }

    private static OnnxTensor present(OnnxRuntimePeer peer, String past) {
        return Objects.requireNonNull(peer.inputs.get(past));
    }

    private void input(String name, float[] values, long... shape) throws OrtException {
        inputs.put(name, tensor(direct(values), shape));
    }

    private void byHead(String name, float[] values, AttentionShape s, int length, int heads, int dim)
            throws OrtException {
        input(name, Inputs.exchangeAxes(values, s.batch(), length, heads, dim), s.batch(), heads, length, dim);
    }

    /** The rows of the last {@code queryLength} keys of each sequence: those that the call passes beside the cache. */
    private static float[] newest(float[] keys, AttentionShape s) {
        int row = s.keyValueHeads() * s.headDim();
        int count = s.queryLength() * row;
        float[] rows = new float[s.batch() * count];
        for (int b = 0; b < s.batch(); b++) {
            System.arraycopy(keys, (b + 1) * s.keyLength() * row - count, rows, b * count, count);
        }
        return rows;
    }

    /** The older keys as [B, Hkv, Sk, D]; the rows of those that the call passes begin as 0. */
    private static float[] cache(float[] keys, AttentionShape s) {
        float[] rows = keys.clone();
        int row = s.keyValueHeads() * s.headDim();
        for (int b = 1; b <= s.batch(); b++) {
            int end = b * s.keyLength() * row;
            Arrays.fill(rows, end - s.queryLength() * row, end, 0f);
        }
        return Inputs.exchangeAxes(rows, s.batch(), s.keyLength(), s.keyValueHeads(), s.headDim());
    }

    private static FloatBuffer direct(float[] values) {
        FloatBuffer buffer = ByteBuffer.allocateDirect(values.length * Float.BYTES)
                .order(ByteOrder.nativeOrder())
                .asFloatBuffer();
        return buffer.put(values).rewind();
    }

    private OnnxTensor tensor(FloatBuffer values, long... shape) throws OrtException {
        return OnnxTensor.createTensor(environment, values, shape);
    }

    private OnnxTensor integers(int[] values, long... shape) throws OrtException {
        IntBuffer buffer = ByteBuffer.allocateDirect(values.length * Integer.BYTES)
                .order(ByteOrder.nativeOrder())
                .asIntBuffer();
        return OnnxTensor.createTensor(environment, buffer.put(0, values), shape);
    }

    @Override
    public void forward() {
        try {
            session.run(inputs, outputs).close(); // the outputs are pinned: there is nothing to take from the result
        } catch (OrtException e) {
            throw new IllegalStateException(e);
        }
    }

    @Override
    public float[] output() {
        float[] values = new float[out.capacity()];
        out.get(0, values);
        return toSequenceMajor.apply(values);
    }

    @Override
    public void close() {
        try {
            session.close();
        } catch (OrtException e) {
            throw new IllegalStateException(e);
        }
        inputs.values().forEach(OnnxTensor::close);
        OnnxTensor result = outputs.get(OnnxModel.OUTPUT);
        if (result != null) {
            result.close();
        }
    }
}
