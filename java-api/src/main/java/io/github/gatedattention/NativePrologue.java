package io.github.gatedattention;

import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** The native backend of a prologue: one downcall per call. What holds memory is said at {@link NativeEngine}. */
final class NativePrologue implements PrologueEngine {
    private final NativeRuntime runtime;
    private final SlotPool<PrologueStruct> structs;
    private volatile boolean closed;

    NativePrologue(PrologueSettings settings) {
        runtime = NativeRuntime.acquire(settings.threads(), settings.maxInstructionSet());
        structs = new SlotPool<>(() -> new PrologueStruct(settings));
    }

    @Override
    public void run(PrologueOperands o, @Nullable CacheSlots cache) {
        checkOpen();
        PrologueStruct struct = structs.take();
        try {
            struct.put(o, cache);
            ProjectedHeads q = o.q();
            ProjectedHeads k = o.k();
            ProjectedHeads v = o.v();
            int status = gated_attention_h.ga_prologue(
                    runtime.handle(),
                    struct.params,
                    struct.error,
                    in(q),
                    gate(q),
                    weight(q),
                    out(q),
                    in(k),
                    gate(k),
                    weight(k),
                    cache == null ? out(k) : cache.memory().keyMemory(),
                    in(v),
                    gate(v),
                    weight(v),
                    cache == null ? out(v) : cache.memory().valueMemory(),
                    segment(o.positions()),
                    segment(cache == null ? null : cache.positions()),
                    segment(cache == null ? null : cache.slots()),
                    MemorySegment.NULL);
            check(status, struct.error);
        } finally {
            structs.giveBack(struct);
        }
    }

    @Override
    public void backward(PrologueOperands o, PrologueGradients g) {
        checkOpen();
        PrologueStruct struct = structs.take();
        try {
            struct.putBackward(o, g);
            int status = gated_attention_h.ga_prologue_backward(
                    runtime.handle(),
                    struct.backward,
                    struct.error,
                    in(o.q()),
                    gate(o.q()),
                    weight(o.q()),
                    in(o.k()),
                    gate(o.k()),
                    weight(o.k()),
                    in(o.v()),
                    gate(o.v()),
                    weight(o.v()),
                    segment(o.positions()),
                    dOut(g.q()),
                    dIn(g.q()),
                    dGate(g.q()),
                    dWeight(g.q()),
                    dOut(g.k()),
                    dIn(g.k()),
                    dGate(g.k()),
                    dWeight(g.k()),
                    dOut(g.v()),
                    dIn(g.v()),
                    dGate(g.v()),
                    dWeight(g.v()),
                    MemorySegment.NULL,
                    MemorySegment.NULL);
            check(status, struct.error);
        } finally {
            structs.giveBack(struct);
        }
    }

    private void check(int status, MemorySegment error) {
        if (status != gated_attention_h.GA_OK()) {
            GatedAttentionException failure = NativeErrors.exception(status, error);
            throw failure.status() == Status.INVALID_HANDLE && closed ? PrologueEngine.closed() : failure;
        }
    }

    private static MemorySegment in(@Nullable ProjectedHeads part) {
        return segment(part == null ? null : part.in());
    }

    private static MemorySegment gate(@Nullable ProjectedHeads part) {
        return segment(part == null ? null : part.gate());
    }

    private static MemorySegment weight(@Nullable ProjectedHeads part) {
        return segment(part == null ? null : part.normWeight());
    }

    private static MemorySegment out(@Nullable ProjectedHeads part) {
        return segment(part == null ? null : part.out());
    }

    private static MemorySegment dOut(@Nullable HeadGradients g) {
        return segment(g == null ? null : g.dOut());
    }

    private static MemorySegment dIn(@Nullable HeadGradients g) {
        return segment(g == null ? null : g.dIn());
    }

    private static MemorySegment dGate(@Nullable HeadGradients g) {
        return segment(g == null ? null : g.dGate());
    }

    private static MemorySegment dWeight(@Nullable HeadGradients g) {
        return segment(g == null ? null : g.dNormWeight());
    }

    private static MemorySegment segment(@Nullable Tensor tensor) {
        return tensor == null ? MemorySegment.NULL : tensor.segment();
    }

    private void checkOpen() {
        if (closed) {
            throw PrologueEngine.closed();
        }
    }

    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            runtime.release();
        }
    }
}
