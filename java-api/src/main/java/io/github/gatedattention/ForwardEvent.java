package io.github.gatedattention;

import java.util.function.LongSupplier;
import java.util.function.Supplier;
import jdk.jfr.Category;
import jdk.jfr.DataAmount;
import jdk.jfr.Description;
import jdk.jfr.Event;
import jdk.jfr.Label;
import jdk.jfr.Name;
import jdk.jfr.StackTrace;
import jdk.jfr.Timespan;
import org.jspecify.annotations.Nullable;

/**
 * A forward call in a recording of JDK Flight Recorder. The names are documented in docs/java-api.md and stay as they
 * are. To be touched only where {@link Recorder} found the module.
 */
@Name("io.github.gatedattention.Forward")
@Label("Attention Forward")
@Category("Gated Attention")
@Description("A forward call that has ended, and the plan it followed")
@StackTrace(false) // walking the stack costs as much as the rest of the event; recordings may ask for it
final class ForwardEvent extends Event {
    /** Never begun: whether events are wanted is asked before one is made, because objects are what must not cost. */
    private static final ForwardEvent PROBE = new ForwardEvent();

    @Label("Backend")
    @Nullable
    String backend;

    @Label("Kernel")
    @Nullable
    String kernel;

    @Label("Instruction Set")
    @Nullable
    String instructionSet;

    @Label("Data Type")
    @Nullable
    String dataType;

    @Label("Threads")
    @Description("Threads that work, the caller's included")
    int threads;

    @Label("Batch")
    long batch;

    @Label("Queries")
    @Description("Queries per sequence")
    long queries;

    @Label("Keys")
    @Description("Keys per sequence, in use or not")
    long keys;

    @Label("Query Heads")
    int queryHeads;

    @Label("Key/Value Heads")
    int keyValueHeads;

    @Label("Head Dimension")
    int headDim;

    @Label("Value Head Dimension")
    int valueHeadDim;

    @Label("Query Block")
    @Description("Query rows per task")
    int queryBlock;

    @Label("Key Block")
    @Description("Keys per step")
    int keyBlock;

    @Label("Tasks")
    @Description("Units of work that threads claim")
    long tasks;

    @Label("Workspace")
    @Description("Scratch memory of the call")
    @DataAmount
    long workspace;

    @Label("Floating-Point Operations")
    long flop;

    @Label("Data Moved")
    @Description("Inputs read once plus outputs written once")
    @DataAmount
    long dataMoved;

    @Label("Executor Wait")
    @Description("How long the call waited for a thread of the executor; part of the duration")
    @Timespan(Timespan.NANOSECONDS)
    long executorWait;

    /** Whether a recording that asks for these events runs now. */
    static boolean areWanted() {
        return PROBE.isEnabled();
    }

    /**
     * Makes a call and records it when it ends well. The plan is asked for afterwards, and only when the call took as
     * long as the recording wants: its cost is in no event's duration.
     *
     * @param call gives how long it waited for the executor, in nanoseconds
     */
    static void record(LongSupplier call, Supplier<Plan> plan, Settings settings, String backend, Operands operands) {
        ForwardEvent event = new ForwardEvent();
        event.begin();
        event.executorWait = call.getAsLong();
        event.end();
        if (event.shouldCommit()) {
            event.backend = backend;
            event.put(settings, operands);
            try {
                event.put(plan.get());
            } catch (RuntimeException closedOrChangedMeanwhile) {
                // The call itself went well, and that is what its caller hears.
            }
            event.commit();
        }
    }

    private void put(Settings settings, Operands operands) {
        dataType = settings.dataType().name();
        batch = operands.q().dim(0);
        queries = operands.q().dim(1);
        keys = operands.k().dim(1);
        queryHeads = settings.queryHeads();
        keyValueHeads = settings.keyValueHeads();
        headDim = settings.headDim();
        valueHeadDim = settings.valueHeadDim();
    }

    private void put(Plan plan) {
        kernel = plan.kernel();
        instructionSet = plan.instructionSet().name();
        threads = plan.threads();
        queryBlock = plan.queryBlock();
        keyBlock = plan.keyBlock();
        tasks = plan.tasks();
        workspace = plan.workspaceBytes();
        flop = plan.flop();
        dataMoved = plan.bytes();
    }
}
