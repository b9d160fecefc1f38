package io.github.gatedattention;

import io.github.gatedattention.bindings.generated.ga_error;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Arrays;
import org.jspecify.annotations.Nullable;

/**
 * The native structs of one call at a time, allocated once. A slot remembers which views it was loaded with, by their
 * ids: a call with the same views again needs neither a check nor a write, because views are immutable.
 */
final class CallSlot {
    private static final long ABSENT = 0;
    /** q, k, v, gate and out, which most often share an arena or two with all the others. */
    private static final int FEW = 5;
    /** The number of their first tensor among the parameters that are held; one each before. */
    private static final int FIRST_OF_SEQUENCES = 8;

    private static final int FIRST_OF_SCALES = FIRST_OF_SEQUENCES + Sequences.TENSORS;

    final MemorySegment params;
    final MemorySegment error;
    private final Settings settings;
    private long q;
    private long k;
    private long v;
    private long gate;
    private long out;
    private long normWeight;
    private long lse;
    private long sink;
    private final long[] sequences = new long[Sequences.TENSORS];
    private final long[] scales = new long[Scales.TENSORS];
    /** The tensors whose arena no earlier tensor has, a bit each: q, k, v, gate, out, normWeight, lse, sink, sequences, scales. */
    private int holds;

    private final MemorySegment.@Nullable Scope[] arenas =
            new MemorySegment.@Nullable Scope[FIRST_OF_SCALES + Scales.TENSORS];

    CallSlot(Settings settings) {
        // Automatic: freed with the slot, and kept during a call at no cost.
        this(settings, Arena.ofAuto());
    }

    /** A slot whose structs end with the arena. */
    CallSlot(Settings settings, Arena arena) {
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
            @Nullable Sequences sequences,
            @Nullable Tensor lse,
            @Nullable Tensor sink,
            @Nullable Scales scales) {
        boolean same = q.id() == this.q
                && k.id() == this.k
                && v.id() == this.v
                && id(gate) == this.gate
                && out.id() == this.out
                && id(normWeight) == this.normWeight
                && id(lse) == this.lse
                && id(sink) == this.sink
                && isSame(sequences)
                && isSame(scales);
        if (same) {
            return;
        }
        CallCheck.check(settings, q, k, v, gate, out, normWeight, sequences, lse, sink, scales);
        // Until all is written the slot matches no call, so that not even a stack overflow leaves half of another one.
        this.q = ABSENT;
        AttentionStruct.put(params, q, k, v, gate, out, normWeight, sequences, lse, sink, scales);
        holds = 0;
        add(0, q);
        add(1, k);
        add(2, v);
        add(3, gate);
        add(4, out);
        add(5, normWeight);
        add(6, lse);
        add(7, sink);
        for (int n = 0; n < Sequences.TENSORS; n++) {
            Tensor tensor = tensor(sequences, n);
            add(FIRST_OF_SEQUENCES + n, tensor);
            this.sequences[n] = id(tensor);
        }
        for (int n = 0; n < Scales.TENSORS; n++) {
            Tensor tensor = tensor(scales, n);
            add(FIRST_OF_SCALES + n, tensor);
            this.scales[n] = id(tensor);
        }
        Arrays.fill(arenas, null); // a slot keeps nobody's memory alive
        this.k = k.id();
        this.v = v.id();
        this.gate = id(gate);
        this.out = out.id();
        this.normWeight = id(normWeight);
        this.lse = id(lse);
        this.sink = id(sink);
        this.q = q.id();
    }

    private boolean isSame(@Nullable Sequences sequences) {
        for (int n = 0; n < Sequences.TENSORS; n++) {
            if (id(tensor(sequences, n)) != this.sequences[n]) {
                return false;
            }
        }
        return true;
    }

    private boolean isSame(@Nullable Scales scales) {
        return id(tensor(scales, 0)) == this.scales[0] && id(tensor(scales, 1)) == this.scales[1];
    }

    /**
     * What the call is to hold for the tensor of the given number: one segment of each arena keeps it open, and every
     * further one would cost two atomic operations more.
     */
    MemorySegment hold(int parameter, @Nullable Tensor tensor) {
        return tensor == null || (holds & 1 << parameter) == 0 ? MemorySegment.NULL : tensor.memory();
    }

    /** Whether the arenas of q, k, v, gate and out are all that the call is to hold. */
    boolean holdsFew() {
        return holds >>> FEW == 0;
    }

    /** The same for a tensor of the sequences. */
    MemorySegment hold(int n, @Nullable Sequences sequences) {
        return hold(FIRST_OF_SEQUENCES + n, tensor(sequences, n));
    }

    /** The same for a tensor of the scales. */
    MemorySegment hold(int n, @Nullable Scales scales) {
        return hold(FIRST_OF_SCALES + n, tensor(scales, n));
    }

    /** Notes whether the call is to hold a segment of the tensor, that is, whether no earlier one is of its arena. */
    private void add(int parameter, @Nullable Tensor tensor) {
        if (tensor == null) {
            return;
        }
        MemorySegment.Scope arena = tensor.memory().scope();
        for (int n = 0; n < parameter; n++) {
            if (arena.equals(arenas[n])) {
                return;
            }
        }
        arenas[parameter] = arena;
        holds |= 1 << parameter;
    }

    private static @Nullable Tensor tensor(@Nullable Sequences sequences, int n) {
        return sequences == null ? null : sequences.tensor(n);
    }

    private static @Nullable Tensor tensor(@Nullable Scales scales, int n) {
        return scales == null ? null : scales.tensor(n);
    }

    private static long id(@Nullable Tensor tensor) {
        return tensor == null ? ABSENT : tensor.id();
    }
}
