package io.github.gatedattention;

import io.github.gatedattention.bindings.generated.ga_error;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * The native structs of one call at a time, allocated once. A slot remembers which views it was loaded with, by their
 * ids: a call with the same views again needs neither a check nor a write, because views are immutable.
 */
final class CallSlot {
    private static final long ABSENT = 0;

    final MemorySegment params;
    final MemorySegment error;
    private final Settings settings;
    private long q;
    private long k;
    private long v;
    private long gate;
    private long out;
    private long normWeight;
    private long keyLengths;
    private long lse;

    CallSlot(Settings settings) {
        // Automatic: freed with the slot, and kept during a call at no cost.
        Arena arena = Arena.ofAuto();
        this.params = AttentionStruct.allocate(arena, settings);
        this.error = ga_error.allocate(arena);
        this.settings = settings;
    }

    /** Makes {@link #params} describe the operands; checks them unless they are those of the last call. */
    void load(
            Tensor q,
            Tensor k,
            Tensor v,
            @Nullable Tensor gate,
            Tensor out,
            @Nullable Tensor normWeight,
            @Nullable Tensor keyLengths,
            @Nullable Tensor lse) {
        boolean same = q.id() == this.q
                && k.id() == this.k
                && v.id() == this.v
                && id(gate) == this.gate
                && out.id() == this.out
                && id(normWeight) == this.normWeight
                && id(keyLengths) == this.keyLengths
                && id(lse) == this.lse;
        if (same) {
            return;
        }
        CallCheck.check(settings, q, k, v, gate, out, normWeight, keyLengths, lse);
        AttentionStruct.put(params, q, k, v, gate, out, normWeight, keyLengths, lse);
        this.q = q.id();
        this.k = k.id();
        this.v = v.id();
        this.gate = id(gate);
        this.out = out.id();
        this.normWeight = id(normWeight);
        this.keyLengths = id(keyLengths);
        this.lse = id(lse);
    }

    private static long id(@Nullable Tensor tensor) {
        return tensor == null ? ABSENT : tensor.id();
    }
}
