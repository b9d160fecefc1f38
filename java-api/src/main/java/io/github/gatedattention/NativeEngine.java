package io.github.gatedattention;

import io.github.gatedattention.bindings.generated.ga_attention_plan;
import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/**
 * The native backends, CPU and CUDA: one downcall per forward.
 *
 * <p>The struct holds raw addresses, which keep nothing alive, so a segment of every arena is an argument of the call as
 * well: for as long as it runs, the arena cannot be closed. The downcall is a plain one. A critical one would save some
 * nanoseconds and stop garbage collection for as long as the kernel runs.
 */
final class NativeEngine implements Engine {
    private final Settings settings;
    private final NativeRuntime runtime;
    private final String backend;
    private final long runtimeHandle;
    private final SlotPool<CallSlot> slots;
    private final SlotPool<MergeStruct> merges;
    private final SlotPool<BackwardStruct> backwards;
    private volatile boolean closed;

    /** Takes the runtime over, and a use of the stream. */
    NativeEngine(Settings settings, NativeRuntime runtime) {
        this.settings = settings;
        this.runtime = runtime;
        this.backend = settings.isOnDevice() ? Place.describe(settings.device()) : "cpu";
        this.runtimeHandle = runtime.handle();
        this.slots = new SlotPool<>(() -> new CallSlot(settings));
        this.merges = new SlotPool<>(() -> new MergeStruct(settings));
        this.backwards = new SlotPool<>(() -> new BackwardStruct(settings));
    }

    /** Its own slot, loaded once. */
    record Prepared(NativeEngine engine, CallSlot slot, Operands operands) implements PreparedForward {
        @Override
        public void run() {
            Operands o = operands;
            engine.checkOpen();
            engine.call(
                    slot,
                    o.q(),
                    o.k(),
                    o.v(),
                    o.gate(),
                    o.out(),
                    o.normWeight(),
                    o.sequences(),
                    o.lse(),
                    o.sink(),
                    o.scales());
        }
    }

    @Override
    public void forward(
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
        checkOpen();
        CallSlot slot = slots.take();
        try {
            slot.load(q, k, v, gate, out, normWeight, sequences, lse, sink, scales);
            call(slot, q, k, v, gate, out, normWeight, sequences, lse, sink, scales);
        } finally {
            slots.giveBack(slot);
        }
    }

    private void call(
            CallSlot slot,
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
        int status = slot.holdsFew()
                ? gated_attention_h.ga_attention_forward_holding_few(
                        runtimeHandle,
                        slot.params,
                        slot.error,
                        slot.hold(0, q),
                        slot.hold(1, k),
                        slot.hold(2, v),
                        slot.hold(3, gate),
                        slot.hold(4, out))
                : gated_attention_h.ga_attention_forward_holding(
                        runtimeHandle,
                        slot.params,
                        slot.error,
                        slot.hold(0, q),
                        slot.hold(1, k),
                        slot.hold(2, v),
                        slot.hold(3, gate),
                        slot.hold(4, out),
                        slot.hold(5, normWeight),
                        slot.hold(6, lse),
                        slot.hold(7, sink),
                        slot.hold(0, sequences),
                        slot.hold(1, sequences),
                        slot.hold(2, sequences),
                        slot.hold(3, sequences),
                        slot.hold(4, sequences),
                        slot.hold(5, sequences),
                        slot.hold(0, scales),
                        slot.hold(1, scales));
        if (status != gated_attention_h.GA_OK()) {
            throw failure(status, slot.error, q, k, sequences);
        }
    }

    /** What the sequences' tensors hold is checked by native code first: reading it here too would be work done twice. */
    private RuntimeException failure(
            int status, MemorySegment error, Tensor q, Tensor k, @Nullable Sequences sequences) {
        if (status == gated_attention_h.GA_INVALID_ARGUMENT() && sequences != null && !settings.isOnDevice()) {
            new SequenceTable().read(q, k, sequences);
        }
        return failure(status, error);
    }

    private RuntimeException failure(int status, MemorySegment error, BackwardOperands o) {
        Operands forward = o.forward();
        return failure(status, error, forward.q(), forward.k(), forward.sequences());
    }

    private RuntimeException failure(int status, MemorySegment error) {
        GatedAttentionException failure = NativeErrors.exception(status, error);
        return failure.status() == Status.INVALID_HANDLE && closed ? Engine.closed() : failure;
    }

    @Override
    public PreparedForward prepare(Operands o) {
        checkOpen();
        CallSlot slot = new CallSlot(settings);
        load(slot, o);
        return new Prepared(this, slot, o);
    }

    private static void load(CallSlot slot, Operands o) {
        slot.load(o.q(), o.k(), o.v(), o.gate(), o.out(), o.normWeight(), o.sequences(), o.lse(), o.sink(), o.scales());
    }

    @Override
    public void merge(MergeOperands o) {
        checkOpen();
        MergeCheck.check(settings, o);
        MergeStruct merge = merges.take();
        try {
            merge.put(o);
            int status = gated_attention_h.ga_attention_merge_holding(
                    runtimeHandle,
                    merge.params,
                    merge.error,
                    o.partialOut().memory(),
                    o.partialLse().memory(),
                    o.out().memory(),
                    segment(o.gate()),
                    segment(o.normWeight()),
                    segment(o.lse()),
                    segment(o.sink()));
            if (status != gated_attention_h.GA_OK()) {
                throw failure(status, merge.error);
            }
        } finally {
            merges.giveBack(merge);
        }
    }

    @Override
    public void backward(BackwardOperands o) {
        checkOpen();
        requireCpu("the backward pass");
        BackwardCheck.check(settings, o);
        BackwardStruct backward = backwards.take();
        try {
            backward.put(o);
            int status = gated_attention_h.ga_attention_backward_holding(
                    runtimeHandle,
                    backward.forward,
                    backward.params,
                    backward.error,
                    segment(o.tensor(0)),
                    segment(o.tensor(1)),
                    segment(o.tensor(2)),
                    segment(o.tensor(3)),
                    segment(o.tensor(4)),
                    segment(o.tensor(5)),
                    segment(o.tensor(6)),
                    segment(o.tensor(7)),
                    segment(o.tensor(8)),
                    segment(o.tensor(9)),
                    segment(o.tensor(10)),
                    segment(o.tensor(11)),
                    segment(o.tensor(12)),
                    segment(o.tensor(13)),
                    segment(o.tensor(14)),
                    segment(o.tensor(15)),
                    segment(o.tensor(16)),
                    segment(o.tensor(17)),
                    segment(o.tensor(18)),
                    segment(o.tensor(19)),
                    segment(o.tensor(20)));
            if (status != gated_attention_h.GA_OK()) {
                throw failure(status, backward.error, o);
            }
        } finally {
            backwards.giveBack(backward);
        }
    }

    @Override
    public AttentionStatistics measure(Operands o, AttentionProbe probe) {
        checkOpen();
        requireCpu("measuring");
        MeasureCheck.check(settings, o);
        return NativeMeasures.measure(
                runtimeHandle,
                settings,
                o,
                probe,
                (status, error) -> failure(status, error, o.q(), o.k(), o.sequences()));
    }

    @Override
    public ValueStatistics measure(Tensor values, ValueProbe probe) {
        checkOpen();
        requireCpu("measuring");
        MeasureCheck.check(values);
        return NativeMeasures.measure(runtimeHandle, values, probe, this::failure);
    }

    private static MemorySegment segment(@Nullable Tensor tensor) {
        return tensor == null ? MemorySegment.NULL : tensor.memory();
    }

    @Override
    public Plan explain(Operands operands) {
        checkOpen();
        try (Arena arena = Arena.ofConfined()) {
            CallSlot slot = new CallSlot(settings, arena);
            load(slot, operands); // a copy has other strides, so the tensors given are checked too
            Operands o = operands;
            if (!settings.isOnDevice()) { // where lengths are not read
                o = operands.withSequences(copyOf(operands.sequences(), arena));
                load(slot, o);
            }
            MemorySegment plan = newPlan(arena);
            int status = gated_attention_h.ga_attention_plan_for(runtimeHandle, slot.params, plan, slot.error);
            if (status != gated_attention_h.GA_OK()) {
                throw failure(status, slot.error, o.q(), o.k(), o.sequences());
            }
            return plan(plan, settings.isOnDevice() ? workOf(plan) : Work.of(settings, o));
        }
    }

    @Override
    public Plan explain(BackwardOperands operands) {
        checkOpen();
        requireCpu("the backward pass");
        BackwardCheck.check(settings, operands); // as above
        try (Arena arena = Arena.ofConfined()) {
            BackwardOperands o =
                    operands.withSequences(copyOf(operands.forward().sequences(), arena));
            BackwardStruct backward = new BackwardStruct(settings, arena);
            backward.put(o);
            MemorySegment plan = newPlan(arena);
            int status = gated_attention_h.ga_attention_backward_plan_for(
                    runtimeHandle, backward.forward, backward.params, plan, backward.error);
            if (status != gated_attention_h.GA_OK()) {
                throw failure(status, backward.error, o);
            }
            return plan(plan, workOf(plan));
        }
    }

    private static MemorySegment newPlan(Arena arena) {
        MemorySegment plan = ga_attention_plan.allocate(arena);
        ga_attention_plan.struct_size(plan, ga_attention_plan.sizeof());
        return plan;
    }

    private static Work workOf(MemorySegment plan) {
        return new Work(ga_attention_plan.flop(plan), ga_attention_plan.bytes(plan));
    }

    private Plan plan(MemorySegment plan, Work work) {
        return new Plan(
                backend,
                ga_attention_plan.kernel(plan).getString(0),
                AbiCodes.instructionSet(ga_attention_plan.isa(plan)),
                ga_attention_plan.threads(plan),
                ga_attention_plan.query_block(plan),
                ga_attention_plan.key_block(plan),
                ga_attention_plan.tasks(plan),
                ga_attention_plan.workspace_bytes(plan),
                work.flop(),
                work.bytes());
    }

    /** A plan reads lengths, but its call holds no segments: so it reads copies that nobody else can close. */
    private static @Nullable Sequences copyOf(@Nullable Sequences sequences, Arena arena) {
        return sequences == null
                ? null
                : new Sequences(
                        copyOf(sequences.queryLengths(), arena),
                        copyOf(sequences.keyLengths(), arena),
                        copyOf(sequences.keyStarts(), arena),
                        copyOf(sequences.cuSeqlensQ(), arena),
                        copyOf(sequences.cuSeqlensK(), arena),
                        copyOf(sequences.blockTable(), arena));
    }

    private static @Nullable Tensor copyOf(@Nullable Tensor lengths, Arena arena) {
        if (lengths == null || lengths.dataType() != DataType.I32) {
            return lengths;
        }
        Tensor copy = Tensor.allocate(arena, DataType.I32, lengths.shape());
        copy.copyFrom(lengths);
        return copy;
    }

    @Override
    public InstructionSet instructionSet() {
        return runtime.instructionSet();
    }

    @Override
    public synchronized void close() {
        if (!closed) {
            closed = true;
            runtime.release();
            CudaStream stream = settings.stream();
            if (stream != null) {
                stream.release();
            }
        }
    }

    private void requireCpu(String what) {
        if (settings.isOnDevice()) {
            throw new UnsupportedOperationException(
                    what + " runs on the CPU alone, but the backend is " + backend + "; copy the tensors to the host");
        }
    }

    private void checkOpen() {
        if (closed) {
            throw Engine.closed();
        }
    }
}
