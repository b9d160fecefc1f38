package io.github.gatedattention.bench.peers;

import ai.onnxruntime.OnnxTensor;
import ai.onnxruntime.OrtEnvironment;
import ai.onnxruntime.OrtException;
import ai.onnxruntime.OrtSession;
import io.github.gatedattention.baselines.AttentionShape;
import io.github.gatedattention.bench.Inputs;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.FloatBuffer;
import java.nio.IntBuffer;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;

/**
 * ONNX Runtime's GroupQueryAttention with Sigmoid and Mul after it.
 *
 * <p>All tensors are pinned off-heap. {@code present} is {@code past}: the operator then writes the new keys into the
 * cache where it is, as a decoding program would have it, and copies nothing else.
 */
final class OnnxRuntimePeer implements Peer {
    static final String TUNING = "all optimizations; inputs, outputs and cache pinned off-heap, present = past";

    private final OrtEnvironment environment = OrtEnvironment.getEnvironment();
    private final OrtSession session;
    private final Map<String, OnnxTensor> inputs = new HashMap<>();
    private final Map<String, OnnxTensor> outputs = new HashMap<>();
    private final FloatBuffer out;

    OnnxRuntimePeer(Inputs operands, int threads) throws OrtException {
        AttentionShape s = operands.workload().shape();
        try (var options = new OrtSession.SessionOptions()) {
            options.setIntraOpNumThreads(threads);
            options.setInterOpNumThreads(1);
            options.setOptimizationLevel(OrtSession.SessionOptions.OptLevel.ALL_OPT);
            session = environment.createSession(OnnxModel.gatedAttention(s), options);
        }
        long[] queries = {s.batch(), s.queryLength(), (long) s.queryHeads() * s.headDim()};
        long[] newKeys = {s.batch(), s.queryLength(), (long) s.keyValueHeads() * s.headDim()};
        inputs.put(OnnxModel.QUERY, tensor(direct(operands.q()), queries));
        inputs.put(OnnxModel.KEY, tensor(direct(newest(operands.k(), s)), newKeys));
        inputs.put(OnnxModel.VALUE, tensor(direct(newest(operands.v(), s)), newKeys));
        inputs.put(OnnxModel.PAST_KEY, cache(operands.k(), s));
        inputs.put(OnnxModel.PAST_VALUE, cache(operands.v(), s));
        inputs.put(OnnxModel.GATE, tensor(direct(operands.gate()), queries));
        inputs.put(OnnxModel.LAST_KEY, integers(s.keyLength() - 1, s.batch()));
        inputs.put(OnnxModel.KEY_COUNT, integers(s.keyLength()));
        out = direct(new float[s.queryElements()]);
        outputs.put(OnnxModel.OUTPUT, tensor(out, queries));
        outputs.put(OnnxModel.PRESENT_KEY, inputs.get(OnnxModel.PAST_KEY));
        outputs.put(OnnxModel.PRESENT_VALUE, inputs.get(OnnxModel.PAST_VALUE));
    }

    /** The rows of the last {@code queryLength} keys: those that the call passes beside the cache. */
    private static float[] newest(float[] keys, AttentionShape s) {
        int row = s.keyValueHeads() * s.headDim();
        return Arrays.copyOfRange(keys, (s.keyLength() - s.queryLength()) * row, s.keyLength() * row);
    }

    /** The older keys as [B, Hkv, Sk, D]; the rows of those that the call passes begin as 0. */
    private OnnxTensor cache(float[] keys, AttentionShape s) throws OrtException {
        float[] rows = keys.clone();
        int row = s.keyValueHeads() * s.headDim();
        Arrays.fill(rows, (s.keyLength() - s.queryLength()) * row, rows.length, 0f);
        float[] byHead = Inputs.exchangeAxes(rows, s.keyLength(), s.keyValueHeads(), s.headDim());
        return tensor(direct(byHead), s.batch(), s.keyValueHeads(), s.keyLength(), s.headDim());
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

    private OnnxTensor integers(int value, long... shape) throws OrtException {
        IntBuffer buffer = ByteBuffer.allocateDirect(Integer.BYTES)
                .order(ByteOrder.nativeOrder())
                .asIntBuffer();
        return OnnxTensor.createTensor(environment, buffer.put(0, value), shape);
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
        return values;
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
