package io.github.gatedattention.bench.peers;

import io.github.gatedattention.baselines.AttentionShape;
import io.github.gatedattention.bench.Gating;

/**
 * The ONNX models of gated attention: an attention operator, then {@code Sigmoid} and {@code Mul}.
 *
 * <p>Field numbers are those of onnx.proto. GroupQueryAttention is an operator of ONNX Runtime itself (domain
 * com.microsoft); it is always causal, takes [B, S, H * D] and keeps its cache as [B, Hkv, Sk, D]. Attention is the
 * standard's since opset 23; it gets everything as [B, H, S, D].
 */
final class OnnxModel {
    static final String QUERY = "query";
    static final String KEY = "key";
    static final String VALUE = "value";
    static final String PAST_KEY = "past_key";
    static final String PAST_VALUE = "past_value";
    static final String LAST_KEY = "seqlens_k";
    static final String KEY_COUNT = "total_sequence_length";
    static final String GATE = "gate";
    static final String OUTPUT = "output";
    static final String PRESENT_KEY = "present_key";
    static final String PRESENT_VALUE = "present_value";

    private static final int FLOAT = 1;
    private static final int INT32 = 6;
    private static final int INT64 = 7;
    private static final int IR_VERSION = 11;
    private static final int OPSET = 23;
    private static final String ATTENDED = "attended";

    private OnnxModel() {}

    /** GroupQueryAttention, whose {@code queryLength} newest keys are passed and whose older ones are in the cache. */
    static byte[] groupQueryAttention(AttentionShape s, Gating gating) {
        long width = (long) s.queryHeads() * s.headDim();
        long[] queries = {s.batch(), s.queryLength(), width};
        long[] byHead = {s.batch(), s.queryLength(), s.queryHeads(), s.headDim()};
        long[] newKeys = {s.batch(), s.queryLength(), (long) s.keyValueHeads() * s.headDim()};
        long[] cache = {s.batch(), s.keyValueHeads(), s.keyLength(), s.headDim()};
        String[] operands = {QUERY, KEY, VALUE, PAST_KEY, PAST_VALUE, LAST_KEY, KEY_COUNT};
        String attended = gating == Gating.NONE ? OUTPUT : ATTENDED;
        Protobuf graph = new Protobuf()
                .message(
                        1,
                        node("com.microsoft", "GroupQueryAttention", operands, attended, PRESENT_KEY, PRESENT_VALUE)
                                .message(5, attribute("num_heads", s.queryHeads()))
                                .message(5, attribute("kv_num_heads", s.keyValueHeads())));
        long[] result = queries;
        if (gating == Gating.HEADWISE) { // one score per row of D: the heads need an axis of their own
            graph.message(1, node("", "Reshape", new String[] {ATTENDED, "by_head"}, "rows"))
                    .message(5, integers("by_head", byHead));
            gate(graph, "rows", new long[] {s.batch(), s.queryLength(), s.queryHeads(), 1});
            result = byHead;
        } else if (gating == Gating.ELEMENTWISE) {
            gate(graph, ATTENDED, queries);
        }
        graph.message(11, value(QUERY, FLOAT, queries))
                .message(11, value(KEY, FLOAT, newKeys))
                .message(11, value(VALUE, FLOAT, newKeys))
                .message(11, value(PAST_KEY, FLOAT, cache))
                .message(11, value(PAST_VALUE, FLOAT, cache))
                .message(11, value(LAST_KEY, INT32, s.batch()))
                .message(11, value(KEY_COUNT, INT32))
                .message(12, value(OUTPUT, FLOAT, result))
                .message(12, value(PRESENT_KEY, FLOAT, cache))
                .message(12, value(PRESENT_VALUE, FLOAT, cache));
        return model(graph);
    }

    /** Attention of opset 23: all keys are passed, none is in a cache. */
    static byte[] attention(AttentionShape s, Gating gating) {
        long[] queries = {s.batch(), s.queryHeads(), s.queryLength(), s.headDim()};
        long[] keys = {s.batch(), s.keyValueHeads(), s.keyLength(), s.headDim()};
        String attended = gating == Gating.NONE ? OUTPUT : ATTENDED;
        // Causal is aligned to the top left here: a single query would see one key.
        int causal = s.queryLength() > 1 ? 1 : 0;
        Protobuf graph = new Protobuf()
                .message(
                        1,
                        node("", "Attention", new String[] {QUERY, KEY, VALUE}, attended)
                                .message(5, attribute("is_causal", causal)));
        if (gating != Gating.NONE) {
            long dim = gating == Gating.HEADWISE ? 1 : s.headDim();
            gate(graph, ATTENDED, new long[] {s.batch(), s.queryHeads(), s.queryLength(), dim});
        }
        graph.message(11, value(QUERY, FLOAT, queries))
                .message(11, value(KEY, FLOAT, keys))
                .message(11, value(VALUE, FLOAT, keys))
                .message(12, value(OUTPUT, FLOAT, queries));
        return model(graph);
    }

    private static void gate(Protobuf graph, String attended, long[] scores) {
        graph.message(1, node("", "Sigmoid", new String[] {GATE}, "factor"))
                .message(1, node("", "Mul", new String[] {attended, "factor"}, OUTPUT))
                .message(11, value(GATE, FLOAT, scores));
    }

    private static byte[] model(Protobuf graph) {
        graph.text(2, "gated_attention");
        return new Protobuf()
                .integer(1, IR_VERSION)
                .text(2, "gated-attention-bench")
                .message(7, graph)
                .message(8, new Protobuf().text(1, "").integer(2, OPSET))
                .message(8, new Protobuf().text(1, "com.microsoft").integer(2, 1))
                .toByteArray();
    }

    private static Protobuf node(String domain, String operator, String[] inputs, String... outputs) {
        Protobuf node = new Protobuf();
        for (String input : inputs) {
            node.text(1, input);
        }
        for (String output : outputs) {
            node.text(2, output);
        }
        return node.text(4, operator).text(7, domain);
    }

    private static Protobuf attribute(String name, int value) {
        int integerType = 2;
        return new Protobuf().text(1, name).integer(3, value).integer(20, integerType);
    }

    /** A constant vector of integers. */
    private static Protobuf integers(String name, long[] values) {
        Protobuf tensor = new Protobuf().integer(1, values.length).integer(2, INT64);
        for (long value : values) {
            tensor.integer(7, value);
        }
        return tensor.text(8, name);
    }

    private static Protobuf value(String name, int elementType, long... shape) {
        Protobuf dimensions = new Protobuf();
        for (long extent : shape) {
            dimensions.message(1, new Protobuf().integer(1, extent));
        }
        Protobuf tensor = new Protobuf().integer(1, elementType).message(2, dimensions);
        return new Protobuf().text(1, name).message(2, new Protobuf().message(1, tensor));
    }
}
