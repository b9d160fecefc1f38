package io.github.gatedattention;

import java.util.concurrent.Executor;
import org.jspecify.annotations.Nullable;

/**
 * How the calls of one attention are made: straight to the engine, which is all that {@link #areDirect} calls do, or by a
 * thread of the executor, or, if forward, with a record of it.
 */
final class Calls {
    private final Settings settings;
    private final String backend;
    private final Engine engine;
    private final @Nullable Executor executor;

    Calls(Settings settings, String backend, Engine engine, @Nullable Executor executor) {
        this.settings = settings;
        this.backend = backend;
        this.engine = engine;
        this.executor = executor;
    }

    /** Whether a call of this thread is the engine's alone; else {@link #forward} makes it. */
    boolean areDirect() {
        return !Recorder.isOn() && (executor == null || !Thread.currentThread().isVirtual());
    }

    void forward(Operands operands) {
        make(operands, () -> engine.forward(operands));
    }

    private void make(Operands operands, Runnable call) {
        if (Recorder.isOn()) {
            ForwardEvent.record(
                    () -> perform(operands, call), () -> engine.explain(operands), settings, backend, operands);
        } else {
            perform(operands, call);
        }
    }

    /** Makes a call; gives how long it waited for the executor, in nanoseconds. */
    private long perform(Operands operands, Runnable call) {
        if (executor != null && Thread.currentThread().isVirtual()) {
            requireShared(operands);
            return Handoff.run(executor, call);
        }
        call.run();
        return 0;
    }

    void backward(BackwardOperands operands) {
        if (executor != null && Thread.currentThread().isVirtual()) {
            for (int n = 0; n < BackwardOperands.TENSORS; n++) {
                requireShared(BackwardOperands.name(n), operands.tensor(n));
            }
            Handoff.run(executor, () -> engine.backward(operands));
        } else {
            engine.backward(operands);
        }
    }

    PreparedForward prepare(Operands operands) {
        return new Prepared(this, engine.prepare(operands), operands);
    }

    /** A prepared call of the engine, made as all others are. */
    record Prepared(Calls calls, PreparedForward call, Operands operands) implements PreparedForward {
        @Override
        public void run() {
            if (calls.areDirect()) {
                call.run();
            } else {
                calls.make(operands, call::run);
            }
        }
    }

    /** Confined memory is closed to the executor's threads: that is known before it waits in a queue. */
    private static void requireShared(Operands o) {
        requireShared("q", o.q());
        requireShared("k", o.k());
        requireShared("v", o.v());
        requireShared("gate", o.gate());
        requireShared("out", o.out());
        requireShared("normWeight", o.normWeight());
        requireShared("lse", o.lse());
        requireShared("sink", o.sink());
        Scales scales = o.scales();
        if (scales != null) {
            requireShared("keyScales", scales.keys());
            requireShared("valueScales", scales.values());
        }
        Sequences s = o.sequences();
        if (s != null) {
            requireShared("queryLengths", s.queryLengths());
            requireShared("keyLengths", s.keyLengths());
            requireShared("keyStarts", s.keyStarts());
            requireShared("cuSeqlensQ", s.cuSeqlensQ());
            requireShared("cuSeqlensK", s.cuSeqlensK());
            requireShared("blockTable", s.blockTable());
        }
    }

    private static void requireShared(String name, @Nullable Tensor tensor) {
        if (tensor == null) {
            return;
        }
        CallCheck.requireOpen(name, tensor);
        if (!TensorMemory.isForAllThreads(tensor.memory())) {
            throw new WrongThreadException(name + " belongs to a confined arena, which the threads of this"
                    + " GatedAttention's executor cannot reach; allocate it from Arena.ofShared()");
        }
    }
}
