package io.github.gatedattention;

import io.github.gatedattention.bindings.generated.ga_error;
import io.github.gatedattention.bindings.generated.ga_runtime_info;
import io.github.gatedattention.bindings.generated.ga_runtime_options;
import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.HashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A native runtime: threads and their scratch memory. All engines with the same options share one, so that a model with
 * many layers has one set of threads; the last to release it closes it.
 */
final class NativeRuntime {
    private static final Map<Options, NativeRuntime> OPEN = new HashMap<>();

    private record Options(int threads, @Nullable InstructionSet cap) {}

    private final Options options;
    private final long handle;
    private final InstructionSet instructionSet;
    private int users; // guarded by OPEN

    private NativeRuntime(Options options, long handle, InstructionSet instructionSet) {
        this.options = options;
        this.handle = handle;
        this.instructionSet = instructionSet;
    }

    static NativeRuntime acquire(int threads, @Nullable InstructionSet cap) {
        synchronized (OPEN) {
            NativeRuntime runtime = OPEN.computeIfAbsent(new Options(threads, cap), NativeRuntime::create);
            runtime.users++;
            return runtime;
        }
    }

    /** Waits for calls in progress when this was the last user. */
    void release() {
        synchronized (OPEN) {
            if (--users > 0) {
                return;
            }
            OPEN.remove(options);
        }
        closeHandle(handle);
    }

    long handle() {
        return handle;
    }

    InstructionSet instructionSet() {
        return instructionSet;
    }

    private static NativeRuntime create(Options options) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = ga_error.allocate(arena);
            MemorySegment nativeOptions = ga_runtime_options.allocate(arena);
            ga_runtime_options.struct_size(nativeOptions, ga_runtime_options.sizeof());
            ga_runtime_options.threads(nativeOptions, options.threads());
            ga_runtime_options.max_isa(
                    nativeOptions,
                    options.cap() == null ? gated_attention_h.GA_ISA_COUNT() : AbiCodes.of(options.cap()));
            MemorySegment handle = arena.allocate(ValueLayout.JAVA_LONG);
            check(gated_attention_h.ga_runtime_create(nativeOptions, handle, error), error);
            long runtime = handle.get(ValueLayout.JAVA_LONG, 0);
            MemorySegment info = ga_runtime_info.allocate(arena);
            ga_runtime_info.struct_size(info, ga_runtime_info.sizeof());
            check(gated_attention_h.ga_runtime_query(runtime, info, error), error);
            return new NativeRuntime(options, runtime, AbiCodes.instructionSet(ga_runtime_info.isa(info)));
        }
    }

    private static void closeHandle(long handle) {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment error = ga_error.allocate(arena);
            check(gated_attention_h.ga_runtime_close(handle, error), error);
        }
    }

    private static void check(int status, MemorySegment error) {
        if (status != gated_attention_h.GA_OK()) {
            throw NativeErrors.exception(status, error);
        }
    }
}
