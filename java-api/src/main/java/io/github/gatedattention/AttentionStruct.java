package io.github.gatedattention;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;
import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.github.gatedattention.bindings.generated.ga_attention_params;
import io.github.gatedattention.bindings.generated.ga_tensor;
import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** Writes {@code ga_attention_params}, the one argument of a native call, at offsets that are constants to the JIT. */
final class AttentionStruct {
    private static final long BATCH = ga_attention_params.batch$offset();
    private static final long SEQ_Q = ga_attention_params.seq_q$offset();
    private static final long SEQ_K = ga_attention_params.seq_k$offset();
    private static final long Q = ga_attention_params.q$offset();
    private static final long K = ga_attention_params.k$offset();
    private static final long V = ga_attention_params.v$offset();
    private static final long GATE = ga_attention_params.gate$offset();
    private static final long NORM_WEIGHT = ga_attention_params.norm_weight$offset();
    private static final long KEY_LENGTHS = ga_attention_params.key_lengths$offset();
    private static final long OUT = ga_attention_params.out$offset();
    private static final long LSE = ga_attention_params.lse$offset();
    private static final long SINK = ga_attention_params.sink$offset();
    private static final long QUERY_LENGTHS = ga_attention_params.query_lengths$offset();
    private static final long KEY_STARTS = ga_attention_params.key_starts$offset();
    private static final long CU_SEQLENS_Q = ga_attention_params.cu_seqlens_q$offset();
    private static final long CU_SEQLENS_K = ga_attention_params.cu_seqlens_k$offset();
    private static final long BLOCK_TABLE = ga_attention_params.block_table$offset();
    private static final long K_SCALE = ga_attention_params.k_scale$offset();
    private static final long V_SCALE = ga_attention_params.v_scale$offset();
    private static final long PAGES = ga_attention_params.pages$offset();
    private static final long PAGE_SIZE = ga_attention_params.page_size$offset();

    private static final long DATA = ga_tensor.data$offset();
    private static final long BYTES = ga_tensor.bytes$offset();
    private static final long STRIDES = ga_tensor.stride$offset();
    private static final long DTYPE = ga_tensor.dtype$offset();

    private AttentionStruct() {}

    /** Allocates the struct, zeroed but for the settings. */
    static MemorySegment allocate(Arena arena, Settings settings) {
        MemorySegment params = ga_attention_params.allocate(arena);
        Gate gate = settings.gate();
        Mask mask = settings.mask();
        params.set(JAVA_LONG, ga_attention_params.struct_size$offset(), ga_attention_params.sizeof());
        params.set(JAVA_INT, ga_attention_params.heads_q$offset(), settings.queryHeads());
        params.set(JAVA_INT, ga_attention_params.heads_kv$offset(), settings.keyValueHeads());
        params.set(JAVA_INT, ga_attention_params.head_dim$offset(), settings.headDim());
        params.set(JAVA_INT, ga_attention_params.head_dim_v$offset(), settings.valueHeadDim());
        params.set(JAVA_LONG, ga_attention_params.stream$offset(), settings.streamAddress());
        params.set(JAVA_LONG, ga_attention_params.window_left$offset(), mask.windowLeft());
        params.set(JAVA_LONG, ga_attention_params.window_right$offset(), mask.windowRight());
        params.set(JAVA_FLOAT, ga_attention_params.scale$offset(), settings.scale());
        params.set(JAVA_FLOAT, ga_attention_params.softcap$offset(), settings.softcap());
        params.set(JAVA_FLOAT, ga_attention_params.norm_eps$offset(), gate.normEps());
        params.set(JAVA_INT, ga_attention_params.activation$offset(), AbiCodes.of(gate.activation()));
        params.set(JAVA_INT, ga_attention_params.combination$offset(), AbiCodes.of(gate.combination()));
        params.set(JAVA_INT, ga_attention_params.pre_gate$offset(), AbiCodes.of(gate.step()));
        params.set(
                JAVA_INT,
                ga_attention_params.flags$offset(),
                (mask.isCausal() ? gated_attention_h.GA_CAUSAL() : 0)
                        | (gate.roundBeforeGate() ? gated_attention_h.GA_ROUND_BEFORE_GATE() : 0));
        return params;
    }

    /** Writes addresses, strides and the sizes that follow from the tensors. The operands were checked. */
    static void put(
            MemorySegment params,
            Tensor q,
            Tensor k,
            Tensor v,
            @Nullable Tensor gate,
            Tensor out,
            @Nullable Tensor normWeight,
            @Nullable Sequences sequences,
            @Nullable Tensor lse,
            @Nullable Tensor sink,
            @Nullable Scales scales) {
        params.set(JAVA_LONG, SEQ_Q, q.dim(1));
        putRows(params, Q, q);
        putRows(params, K, k);
        putRows(params, V, v);
        putRows(params, OUT, out);
        putGate(params, GATE, gate);
        putNormWeight(params, NORM_WEIGHT, normWeight);
        putLse(params, LSE, lse);
        putSink(params, SINK, sink);
        putRows(params, K_SCALE, scales == null ? null : scales.keys());
        putRows(params, V_SCALE, scales == null ? null : scales.values());
        putSequences(params, q, k, sequences);
    }

    /** Contiguous rows of a batch, a sequence and a head. */
    static void putRows(MemorySegment params, long at, @Nullable Tensor rows) {
        if (rows != null) {
            put(params, at, rows, rows.stride(0), rows.stride(1), rows.stride(2), 1);
        } else {
            clear(params, at);
        }
    }

    /** What a measurement reads of a call: nothing else is touched, so it has no address. */
    static void putMeasured(MemorySegment params, Operands o) {
        put(params, o.q(), o.k(), o.v(), null, o.out(), null, o.sequences(), o.lse(), null, o.scales());
        clear(params, V);
        clear(params, OUT);
        clear(params, V_SCALE);
    }

    static void putGate(MemorySegment params, long at, @Nullable Tensor gate) {
        if (gate != null) {
            put(params, at, gate, shared(gate, 0), shared(gate, 1), shared(gate, 2), shared(gate, 3));
        } else {
            clear(params, at);
        }
    }

    private static void putSequences(MemorySegment params, Tensor q, Tensor k, @Nullable Sequences sequences) {
        params.set(JAVA_LONG, BATCH, SequenceCheck.batch(q, sequences));
        params.set(JAVA_LONG, SEQ_K, SequenceCheck.mostKeys(k, sequences));
        putNumbers(params, QUERY_LENGTHS, sequences == null ? null : sequences.queryLengths());
        putNumbers(params, KEY_LENGTHS, sequences == null ? null : sequences.keyLengths());
        putNumbers(params, KEY_STARTS, sequences == null ? null : sequences.keyStarts());
        putNumbers(params, CU_SEQLENS_Q, sequences == null ? null : sequences.cuSeqlensQ());
        putNumbers(params, CU_SEQLENS_K, sequences == null ? null : sequences.cuSeqlensK());
        Tensor table = sequences == null ? null : sequences.blockTable();
        if (table != null) {
            put(params, BLOCK_TABLE, table, table.stride(0), table.stride(1), 0, 0);
        } else {
            clear(params, BLOCK_TABLE);
        }
        params.set(JAVA_LONG, PAGES, table == null ? 0 : k.dim(0));
        params.set(JAVA_INT, PAGE_SIZE, table == null ? 0 : (int) k.dim(1));
    }

    private static void putNumbers(MemorySegment params, long at, @Nullable Tensor tensor) {
        if (tensor != null) {
            put(params, at, tensor, tensor.stride(0), 0, 0, 0);
        } else {
            clear(params, at);
        }
    }

    static void putNormWeight(MemorySegment params, long at, @Nullable Tensor weight) {
        if (weight != null) {
            put(params, at, weight, 0, 0, shared(weight, 0), shared(weight, 1));
        } else {
            clear(params, at);
        }
    }

    static void putSink(MemorySegment params, long at, @Nullable Tensor sink) {
        if (sink != null) {
            put(params, at, sink, 0, 0, shared(sink, 0), 0);
        } else {
            clear(params, at);
        }
    }

    static void putLse(MemorySegment params, long at, @Nullable Tensor lse) {
        if (lse != null) {
            // The ABI names axes alike for all tensors: [batch, sequence, head], where lse is [batch, head, sequence].
            put(params, at, lse, lse.stride(0), lse.stride(2), lse.stride(1), 1);
        } else {
            clear(params, at);
        }
    }

    static void put(MemorySegment params, long at, Tensor tensor, long batch, long sequence, long head, long dim) {
        params.set(JAVA_LONG, at + DATA, tensor.address());
        params.set(JAVA_LONG, at + BYTES, tensor.spanBytes());
        params.set(JAVA_LONG, at + STRIDES, batch);
        params.set(JAVA_LONG, at + STRIDES + Long.BYTES, sequence);
        params.set(JAVA_LONG, at + STRIDES + 2 * Long.BYTES, head);
        params.set(JAVA_LONG, at + STRIDES + 3 * Long.BYTES, dim);
        params.set(JAVA_INT, at + DTYPE, AbiCodes.of(tensor.dataType()));
    }

    /** An address of 0 says that the tensor is absent. */
    static void clear(MemorySegment params, long at) {
        params.set(JAVA_LONG, at + DATA, 0);
    }

    /** The stride of an input's axis, where an axis of one element is shared along: stride 0. */
    private static long shared(Tensor tensor, int axis) {
        return tensor.dim(axis) == 1 ? 0 : tensor.stride(axis);
    }
}
