package io.github.gatedattention;

import static java.lang.foreign.ValueLayout.JAVA_INT;
import static java.lang.foreign.ValueLayout.JAVA_LONG;

import io.github.gatedattention.bindings.generated.ga_error;
import io.github.gatedattention.bindings.generated.ga_prologue_backward_params;
import io.github.gatedattention.bindings.generated.ga_prologue_gradient;
import io.github.gatedattention.bindings.generated.ga_prologue_params;
import io.github.gatedattention.bindings.generated.ga_prologue_part;
import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** The native structs of one prologue at a time, allocated once. */
final class PrologueStruct {
    private static final long[] PART = {
        ga_prologue_params.q$offset(), ga_prologue_params.k$offset(), ga_prologue_params.v$offset()
    };
    private static final long[] GRADIENT = {
        ga_prologue_backward_params.q$offset(),
        ga_prologue_backward_params.k$offset(),
        ga_prologue_backward_params.v$offset()
    };
    private static final long IN = ga_prologue_part.in$offset();
    private static final long GATE = ga_prologue_part.gate$offset();
    private static final long WEIGHT = ga_prologue_part.norm_weight$offset();
    private static final long OUT = ga_prologue_part.out$offset();
    private static final long IN_GROUPS = ga_prologue_part.in_group_stride$offset();
    private static final long OUT_GROUPS = ga_prologue_part.out_group_stride$offset();
    private static final long GROUP = ga_prologue_part.group$offset();
    private static final long POSITIONS = ga_prologue_params.positions$offset();
    private static final long SLOTS = ga_prologue_params.slots$offset();

    final MemorySegment params;
    final MemorySegment backward;
    final MemorySegment error;

    PrologueStruct(PrologueSettings settings) {
        // Automatic: freed with this object, and kept during a call at no cost.
        Arena arena = Arena.ofAuto();
        error = ga_error.allocate(arena);
        params = ga_prologue_params.allocate(arena);
        backward = ga_prologue_backward_params.allocate(arena);
        ga_prologue_params.struct_size(params, ga_prologue_params.sizeof());
        ga_prologue_backward_params.struct_size(backward, ga_prologue_backward_params.sizeof());
        ga_prologue_backward_params.forward(backward, params);
        Rope rope = settings.rope();
        RopeTable table = settings.table();
        if (rope != null && table != null) {
            ga_prologue_params.table_rows(params, table.positions());
            ga_prologue_params.rotary_dim(params, rope.dim());
            ga_prologue_params.flags(params, rope.isInterleaved() ? gated_attention_h.GA_INTERLEAVED() : 0);
            putTable(ga_prologue_params.cosines$offset(), table.cosines);
            putTable(ga_prologue_params.sines$offset(), table.sines);
        }
        for (int n = 0; n < PrologueCheck.PARTS; n++) {
            MemorySegment part = params.asSlice(PART[n], ga_prologue_part.sizeof());
            ga_prologue_part.heads(part, settings.heads(n));
            ga_prologue_part.dim(part, settings.dim(n));
            Activation activation = settings.gates()[n];
            ga_prologue_part.activation(part, activation == null ? 0 : AbiCodes.of(activation));
            ga_prologue_part.norm_eps(part, settings.normEps());
            ga_prologue_part.flags(
                    part,
                    (settings.isNormalized(n) ? gated_attention_h.GA_PART_NORM() : 0)
                            | (settings.isNormalized(n) && settings.plusOne()
                                    ? gated_attention_h.GA_PART_WEIGHT_PLUS_ONE()
                                    : 0)
                            | (settings.isRotated(n) ? gated_attention_h.GA_PART_ROTATE() : 0));
        }
    }

    private void putTable(long at, Tensor table) {
        AttentionStruct.put(params, at, table, 0, table.stride(0), 0, 1);
    }

    /** Makes {@link #params} describe a call, which was checked. */
    void put(PrologueOperands o, @Nullable CacheSlots cache) {
        putCommon(o);
        for (int n = 0; n < PrologueCheck.PARTS; n++) {
            ProjectedHeads part = o.part(n);
            if (part == null) {
                continue;
            }
            if (cache != null && n > 0) {
                Tensor to = n == 1 ? cache.memory().keys : cache.memory().values;
                AttentionStruct.put(params, PART[n] + OUT, to, to.stride(0), to.stride(1), to.stride(2), 1);
            } else {
                putHeads(params, PART[n] + OUT, PART[n] + OUT_GROUPS, part.out());
            }
        }
        if (cache != null) {
            putNumbers(POSITIONS, cache.positions(), cache.stride());
            putNumbers(SLOTS, cache.slots(), cache.stride());
            ga_prologue_params.pages(params, cache.memory().keys.dim(0));
            ga_prologue_params.page_size(params, cache.memory().pageRows);
            return;
        }
        Tensor positions = o.positions();
        if (positions != null) {
            long batch = positions.dim(0) == 1 ? 0 : positions.stride(0);
            AttentionStruct.put(params, POSITIONS, positions, batch, positions.stride(1), 0, 0);
        } else {
            AttentionStruct.clear(params, POSITIONS);
        }
        AttentionStruct.clear(params, SLOTS);
        ga_prologue_params.pages(params, 0);
        ga_prologue_params.page_size(params, 0);
    }

    /** Makes {@link #backward} describe a call, which was checked. */
    void putBackward(PrologueOperands o, PrologueGradients gradients) {
        put(o, null);
        for (int n = 0; n < PrologueCheck.PARTS; n++) {
            HeadGradients g = gradients.part(n);
            if (g == null) {
                continue;
            }
            AttentionStruct.clear(params, PART[n] + OUT);
            long at = GRADIENT[n];
            putHeads(
                    backward,
                    at + ga_prologue_gradient.d_out$offset(),
                    at + ga_prologue_gradient.d_out_group_stride$offset(),
                    g.dOut());
            if (g.dIn() != null) {
                putHeads(
                        backward,
                        at + ga_prologue_gradient.d_in$offset(),
                        at + ga_prologue_gradient.d_in_group_stride$offset(),
                        g.dIn());
            } else {
                AttentionStruct.clear(backward, at + ga_prologue_gradient.d_in$offset());
                backward.set(JAVA_LONG, at + ga_prologue_gradient.d_in_group_stride$offset(), 0);
            }
            AttentionStruct.putGate(backward, at + ga_prologue_gradient.d_gate$offset(), g.dGate());
            putWeight(backward, at + ga_prologue_gradient.d_norm_weight$offset(), g.dNormWeight());
        }
    }

    private void putCommon(PrologueOperands o) {
        ga_prologue_params.batch(params, o.any().dim(0));
        ga_prologue_params.seq(params, o.any().dim(1));
        ga_prologue_params.first_position(params, o.firstPosition());
        for (int n = 0; n < PrologueCheck.PARTS; n++) {
            ProjectedHeads part = o.part(n);
            if (part == null) {
                AttentionStruct.clear(params, PART[n] + IN);
                continue;
            }
            putHeads(params, PART[n] + IN, PART[n] + IN_GROUPS, part.in());
            params.set(
                    JAVA_INT,
                    PART[n] + GROUP,
                    part.in().rank() == 5 ? (int) part.in().dim(3) : 0);
            AttentionStruct.putGate(params, PART[n] + GATE, part.gate());
            putWeight(params, PART[n] + WEIGHT, part.normWeight());
        }
    }

    /** {@code [B, S, H, D]}, or {@code [B, S, groups, heads, D]} with the groups' stride beside the tensor. */
    private static void putHeads(MemorySegment to, long at, long groupsAt, Tensor heads) {
        boolean grouped = heads.rank() == 5;
        int head = grouped ? 3 : 2;
        AttentionStruct.put(to, at, heads, heads.stride(0), heads.stride(1), heads.stride(head), 1);
        to.set(JAVA_LONG, groupsAt, grouped ? heads.stride(2) : 0);
    }

    private static void putWeight(MemorySegment to, long at, @Nullable Tensor weight) {
        if (weight == null) {
            AttentionStruct.clear(to, at);
        } else if (weight.rank() == 1) {
            AttentionStruct.put(to, at, weight, 0, 0, 0, 1);
        } else {
            AttentionStruct.putNormWeight(to, at, weight);
        }
    }

    private void putNumbers(long at, Tensor numbers, long batchStride) {
        AttentionStruct.put(params, at, numbers, batchStride, 1, 0, 0);
    }
}
