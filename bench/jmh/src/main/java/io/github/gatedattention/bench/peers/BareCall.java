package io.github.gatedattention.bench.peers;

import io.github.gatedattention.bindings.generated.ga_attention_params;
import io.github.gatedattention.bindings.generated.ga_error;
import io.github.gatedattention.bindings.generated.ga_runtime_options;
import io.github.gatedattention.bindings.generated.ga_tensor;
import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;

/** One native call with a struct that was filled once: the least that a call from Java can cost. */
public final class BareCall implements AutoCloseable {
    private final MemorySegment params;
    private final MemorySegment error;
    private final long runtime;

    /**
     * Fills the struct for one query, one key and one head, f32, and calls once.
     *
     * @param arena what the struct lives in
     * @param dim floats per row
     * @param q the query
     * @param k the key
     * @param v the value
     * @param gate the gate's scores
     * @param out receives the result
     */
    public BareCall(
            Arena arena,
            int dim,
            MemorySegment q,
            MemorySegment k,
            MemorySegment v,
            MemorySegment gate,
            MemorySegment out) {
        error = ga_error.allocate(arena);
        runtime = openRuntime(arena);
        params = ga_attention_params.allocate(arena);
        ga_attention_params.struct_size(params, ga_attention_params.sizeof());
        ga_attention_params.batch(params, 1);
        ga_attention_params.seq_q(params, 1);
        ga_attention_params.seq_k(params, 1);
        ga_attention_params.heads_q(params, 1);
        ga_attention_params.heads_kv(params, 1);
        ga_attention_params.head_dim(params, dim);
        ga_attention_params.head_dim_v(params, dim);
        ga_attention_params.window_left(params, -1);
        ga_attention_params.window_right(params, -1);
        ga_attention_params.scale(params, (float) (1 / Math.sqrt(dim)));
        ga_attention_params.activation(params, gated_attention_h.GA_SIGMOID());
        ga_attention_params.combination(params, gated_attention_h.GA_MULTIPLY());
        ga_attention_params.pre_gate(params, gated_attention_h.GA_PRE_NONE());
        ga_attention_params.flags(params, gated_attention_h.GA_CAUSAL());
        describe(ga_attention_params.q(params), q, dim);
        describe(ga_attention_params.k(params), k, dim);
        describe(ga_attention_params.v(params), v, dim);
        describe(ga_attention_params.gate(params), gate, dim);
        describe(ga_attention_params.out(params), out, dim);
        check(run());
    }

    private long openRuntime(Arena arena) {
        MemorySegment options = ga_runtime_options.allocate(arena);
        ga_runtime_options.struct_size(options, ga_runtime_options.sizeof());
        ga_runtime_options.threads(options, 1);
        ga_runtime_options.max_isa(options, gated_attention_h.GA_ISA_COUNT());
        MemorySegment handle = arena.allocate(ValueLayout.JAVA_LONG);
        check(gated_attention_h.ga_runtime_create(options, handle, error));
        return handle.get(ValueLayout.JAVA_LONG, 0);
    }

    private static void describe(MemorySegment tensor, MemorySegment data, int dim) {
        ga_tensor.data(tensor, data);
        ga_tensor.bytes(tensor, data.byteSize());
        for (int axis = 0; axis < 3; axis++) {
            ga_tensor.stride(tensor, axis, dim);
        }
        ga_tensor.stride(tensor, 3, 1);
        ga_tensor.dtype(tensor, gated_attention_h.GA_F32());
    }

    /** {@return the status of one call} */
    public int run() {
        return gated_attention_h.ga_attention_forward(runtime, params, error);
    }

    private void check(int status) {
        if (status != gated_attention_h.GA_OK()) {
            throw new IllegalStateException(ga_error.message(error).getString(0));
        }
    }

    @Override
    public void close() {
        check(gated_attention_h.ga_runtime_close(runtime, error));
    }
}
