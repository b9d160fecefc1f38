package io.github.gatedattention.bench.peers;

import io.github.gatedattention.baselines.AttentionShape;

/**
 * The ONNX model of gated attention: {@code GroupQueryAttention}, then {@code Sigmoid} and {@code Mul}.
 *
 * <p>Field numbers are those of onnx.proto. GroupQueryAttention is an operator of ONNX Runtime itself (domain
 * com.microsoft); it is always causal and keeps its cache as [B, Hkv, Sk, D].
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
    private static final int IR_VERSION = 10;
    private static final int OPSET = 21;

    private OnnxModel() {}

    /** The model for a shape whose {@code queryLength} newest keys are passed and whose older ones are in the cache. */
    static byte[] gatedAttention(AttentionShape s) {
        long[] queries = {s.batch(), s.queryLength(), (long) s.queryHeads() * s.headDim()};
        long[] newKeys = {s.batch(), s.queryLength(), (long) s.keyValueHeads() * s.headDim()};
        long[] cache = {s.batch(), s.keyValueHeads(), s.keyLength(), s.headDim()};
        Protobuf graph = new Protobuf()
                .message(1, attention(s))
                .message(1, node("", "Sigmoid", new String[] {GATE}, "factor"))
                .message(1, node("", "Mul", new String[] {"attended", "factor"}, OUTPUT))
                .text(2, "gated_attention")
                .message(11, value(QUERY, FLOAT, queries))
                .message(11, value(KEY, FLOAT, newKeys))
                .message(11, value(VALUE, FLOAT, newKeys))
                .message(11, value(PAST_KEY, FLOAT, cache))
                .message(11, value(PAST_VALUE, FLOAT, cache))
                .message(11, value(LAST_KEY, INT32, s.batch()))
                .message(11, value(KEY_COUNT, INT32))
                .message(11, value(GATE, FLOAT, queries))
                .message(12, value(OUTPUT, FLOAT, queries))
                .message(12, value(PRESENT_KEY, FLOAT, cache))
                .message(12, value(PRESENT_VALUE, FLOAT, cache));
        return new Protobuf()
                .integer(1, IR_VERSION)
                .text(2, "gated-attention-bench")
                .message(7, graph)
                .message(8, new Protobuf().text(1, "").integer(2, OPSET))
                .message(8, new Protobuf().text(1, "com.microsoft").integer(2, 1))
                .toByteArray();
    }

    private static Protobuf attention(AttentionShape s) {
        String[] inputs = {QUERY, KEY, VALUE, PAST_KEY, PAST_VALUE, LAST_KEY, KEY_COUNT};
        return node("com.microsoft", "GroupQueryAttention", inputs, "attended", PRESENT_KEY, PRESENT_VALUE)
                .message(5, attribute("num_heads", s.queryHeads()))
                .message(5, attribute("kv_num_heads", s.keyValueHeads()));
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

    private static Protobuf value(String name, int elementType, long... shape) {
        Protobuf dimensions = new Protobuf();
        for (long extent : shape) {
            dimensions.message(1, new Protobuf().integer(1, extent));
        }
        Protobuf tensor = new Protobuf().integer(1, elementType).message(2, dimensions);
        return new Protobuf().text(1, name).message(2, new Protobuf().message(1, tensor));
    }
}
