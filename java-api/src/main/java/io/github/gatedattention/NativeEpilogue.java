package io.github.gatedattention;

import io.github.gatedattention.bindings.generated.ga_epilogue_backward_params;
import io.github.gatedattention.bindings.generated.ga_epilogue_params;
import io.github.gatedattention.bindings.generated.ga_error;
import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** The native backend of an epilogue: one downcall per call. What holds memory is said at {@link NativeEngine}. */
final class NativeEpilogue implements EpilogueEngine {
    private final NativeRuntime runtime;
    private final SlotPool<Structs> pool;
    private volatile boolean closed;

    NativeEpilogue(EpilogueSettings settings) {
        runtime = NativeRuntime.acquire(settings.threads(), settings.maxInstructionSet());
        pool = new SlotPool<>(() -> new Structs(settings));
    }

    /** The structs of one call at a time, allocated once. */
    private static final class Structs {
        final MemorySegment params;
        final MemorySegment backward;
        final MemorySegment error;

        Structs(EpilogueSettings settings) {
            Arena arena = Arena.ofAuto(); // freed with this object
            params = ga_epilogue_params.allocate(arena);
            backward = ga_epilogue_backward_params.allocate(arena);
            error = ga_error.allocate(arena);
            Activation gate = settings.gate();
            ga_epilogue_params.struct_size(params, ga_epilogue_params.sizeof());
            ga_epilogue_params.width(params, settings.width());
            ga_epilogue_params.activation(params, gate == null ? 0 : AbiCodes.of(gate));
            ga_epilogue_backward_params.struct_size(backward, ga_epilogue_backward_params.sizeof());
            ga_epilogue_backward_params.forward(backward, params);
        }

        void putCommon(Tensor in, @Nullable Tensor gate) {
            ga_epilogue_params.batch(params, in.dim(0));
            ga_epilogue_params.seq(params, in.dim(1));
            put(params, ga_epilogue_params.in$offset(), in);
            putGate(params, ga_epilogue_params.gate$offset(), gate);
        }

        static void put(MemorySegment to, long at, @Nullable Tensor rows) {
            if (rows == null) {
                AttentionStruct.clear(to, at);
            } else {
                AttentionStruct.put(to, at, rows, rows.stride(0), rows.stride(1), 0, 1);
            }
        }

        static void putGate(MemorySegment to, long at, @Nullable Tensor gate) {
            if (gate == null) {
                AttentionStruct.clear(to, at);
            } else {
                AttentionStruct.put(to, at, gate, shared(gate, 0), shared(gate, 1), 0, shared(gate, 2));
            }
        }

        private static long shared(Tensor gate, int axis) {
            return gate.dim(axis) == 1 ? 0 : gate.stride(axis);
        }
    }

    @Override
    public void run(Tensor in, @Nullable Tensor gate, @Nullable Tensor residual, Tensor out) {
        checkOpen();
        Structs structs = pool.take();
        try {
            structs.putCommon(in, gate);
            Structs.put(structs.params, ga_epilogue_params.residual$offset(), residual);
            Structs.put(structs.params, ga_epilogue_params.out$offset(), out);
            check(
                    gated_attention_h.ga_epilogue(
                            runtime.handle(),
                            structs.params,
                            structs.error,
                            in.segment(),
                            segment(gate),
                            segment(residual),
                            out.segment()),
                    structs.error);
        } finally {
            pool.giveBack(structs);
        }
    }

    @Override
    public void backward(Tensor in, @Nullable Tensor gate, Tensor dOut, @Nullable Tensor dIn, @Nullable Tensor dGate) {
        checkOpen();
        Structs structs = pool.take();
        try {
            structs.putCommon(in, gate);
            Structs.put(structs.params, ga_epilogue_params.residual$offset(), null);
            Structs.put(structs.params, ga_epilogue_params.out$offset(), null);
            Structs.put(structs.backward, ga_epilogue_backward_params.d_out$offset(), dOut);
            Structs.put(structs.backward, ga_epilogue_backward_params.d_in$offset(), dIn);
            Structs.putGate(structs.backward, ga_epilogue_backward_params.d_gate$offset(), dGate);
            check(
                    gated_attention_h.ga_epilogue_backward(
                            runtime.handle(),
                            structs.backward,
                            structs.error,
                            in.segment(),
                            segment(gate),
                            dOut.segment(),
                            segment(dIn),
                            segment(dGate)),
                    structs.error);
        } finally {
            pool.giveBack(structs);
        }
    }

    private void check(int status, MemorySegment error) {
        if (status != gated_attention_h.GA_OK()) {
            GatedAttentionException failure = NativeErrors.exception(status, error);
            throw failure.status() == Status.INVALID_HANDLE && closed ? EpilogueEngine.closed() : failure;
        }
    }

    private static MemorySegment segment(@Nullable Tensor tensor) {
        return tensor == null ? MemorySegment.NULL : tensor.segment();
    }

    private void checkOpen() {
        if (closed) {
            throw EpilogueEngine.closed();
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
