package io.github.gatedattention;

import io.github.gatedattention.bindings.generated.ga_error;
import io.github.gatedattention.bindings.generated.ga_merge_params;
import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** The native structs of one merge at a time, allocated once. */
final class MergeStruct {
    final MemorySegment params;
    final MemorySegment error;

    MergeStruct(Settings settings) {
        // Automatic: freed with this object, and kept during a call at no cost.
        Arena arena = Arena.ofAuto();
        Gate gate = settings.gate();
        error = ga_error.allocate(arena);
        params = ga_merge_params.allocate(arena);
        ga_merge_params.struct_size(params, ga_merge_params.sizeof());
        ga_merge_params.heads_q(params, settings.queryHeads());
        ga_merge_params.head_dim_v(params, settings.valueHeadDim());
        ga_merge_params.stream(params, MemorySegment.ofAddress(settings.streamAddress()));
        ga_merge_params.norm_eps(params, gate.normEps());
        ga_merge_params.activation(params, AbiCodes.of(gate.activation()));
        ga_merge_params.combination(params, AbiCodes.of(gate.combination()));
        ga_merge_params.pre_gate(params, AbiCodes.of(gate.step()));
        ga_merge_params.flags(params, gate.roundBeforeGate() ? gated_attention_h.GA_ROUND_BEFORE_GATE() : 0);
    }

    /** Makes {@link #params} describe the operands, which were checked. */
    void put(MergeOperands o) {
        Tensor partial = o.partialOut();
        Tensor partialLse = o.partialLse();
        ga_merge_params.count(params, partial.dim(0));
        ga_merge_params.batch(params, partial.dim(1));
        ga_merge_params.seq_q(params, partial.dim(2));
        ga_merge_params.partial_out_stride(params, partial.stride(0));
        ga_merge_params.partial_lse_stride(params, partialLse.stride(0));
        long at = ga_merge_params.partial_out$offset();
        AttentionStruct.put(params, at, partial, partial.stride(1), partial.stride(2), partial.stride(3), 1);
        at = ga_merge_params.partial_lse$offset();
        // The ABI names axes alike for all tensors: [batch, sequence, head], where these are [batch, head, sequence].
        AttentionStruct.put(
                params, at, partialLse, partialLse.stride(1), partialLse.stride(3), partialLse.stride(2), 1);
        AttentionStruct.putGate(params, ga_merge_params.gate$offset(), o.gate());
        AttentionStruct.putNormWeight(params, ga_merge_params.norm_weight$offset(), o.normWeight());
        AttentionStruct.putSink(params, ga_merge_params.sink$offset(), o.sink());
        AttentionStruct.putRows(params, ga_merge_params.out$offset(), o.out());
        AttentionStruct.putLse(params, ga_merge_params.lse$offset(), o.lse());
    }
}
