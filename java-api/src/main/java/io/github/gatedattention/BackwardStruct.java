package io.github.gatedattention;

import io.github.gatedattention.bindings.generated.ga_attention_backward_params;
import io.github.gatedattention.bindings.generated.ga_error;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** The native structs of one backward call at a time, allocated once. */
final class BackwardStruct {
    private static final long D_OUT = ga_attention_backward_params.dout$offset();
    private static final long UNGATED = ga_attention_backward_params.ungated$offset();
    private static final long D_Q = ga_attention_backward_params.dq$offset();
    private static final long D_K = ga_attention_backward_params.dk$offset();
    private static final long D_V = ga_attention_backward_params.dv$offset();
    private static final long D_GATE = ga_attention_backward_params.dgate$offset();
    private static final long D_NORM_WEIGHT = ga_attention_backward_params.dnorm_weight$offset();
    private static final long D_SINK = ga_attention_backward_params.dsink$offset();

    /** What the forward call was given. */
    final MemorySegment forward;

    final MemorySegment params;
    final MemorySegment error;

    /** Structs that are freed with this object. */
    BackwardStruct(Settings settings) {
        this(settings, Arena.ofAuto());
    }

    /** Structs that end with the arena. */
    BackwardStruct(Settings settings, Arena arena) {
        forward = AttentionStruct.allocate(arena, settings);
        error = ga_error.allocate(arena);
        params = ga_attention_backward_params.allocate(arena);
        ga_attention_backward_params.struct_size(params, ga_attention_backward_params.sizeof());
    }

    /** Makes them describe the operands, which were checked. */
    void put(BackwardOperands o) {
        Operands f = o.forward();
        AttentionStruct.put(
                forward,
                f.q(),
                f.k(),
                f.v(),
                f.gate(),
                f.out(),
                f.normWeight(),
                f.sequences(),
                f.lse(),
                f.sink(),
                null);
        AttentionStruct.putRows(params, D_OUT, o.dOut());
        AttentionStruct.putRows(params, UNGATED, o.ungated());
        AttentionStruct.putRows(params, D_Q, o.dQ());
        AttentionStruct.putRows(params, D_K, o.dK());
        AttentionStruct.putRows(params, D_V, o.dV());
        AttentionStruct.putGate(params, D_GATE, o.dGate());
        AttentionStruct.putNormWeight(params, D_NORM_WEIGHT, o.dNormWeight());
        AttentionStruct.putSink(params, D_SINK, o.dSink());
    }
}
