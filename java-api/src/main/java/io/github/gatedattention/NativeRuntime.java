package io.github.gatedattention;

import io.github.gatedattention.bindings.CudaLibrary;
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
 * A native runtime: threads and their scratch memory, or a CUDA device with that of its streams. All engines with the same options share one, so that a model with
 * many layers has one set of threads; the last to release it closes it.
 */
final class NativeRuntime {
    private static final Map<Options, NativeRuntime> OPEN = new HashMap<>();

    private record Options(int threads, @Nullable InstructionSet cap, int device) {}

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
        return acquire(new Options(threads, cap, Place.HOST));
    }

    /** Of a CUDA device; the library of its kernels is found and opened first. */
    static NativeRuntime ofDevice(int device) {
        return acquire(new Options(1, null, device));
    }

    private static NativeRuntime acquire(Options options) {
        synchronized (OPEN) {
            NativeRuntime runtime = OPEN.computeIfAbsent(options, NativeRuntime::create);
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
            if (Place.isDevice(options.device())) {
                ga_runtime_options.device(nativeOptions, gated_attention_h.GA_DEVICE_CUDA());
                ga_runtime_options.device_index(nativeOptions, options.device());
                ga_runtime_options.cuda_library(nativeOptions, arena.allocateFrom(pathOfCudaLibrary()));
            }
            MemorySegment handle = arena.allocate(ValueLayout.JAVA_LONG);
            check(gated_attention_h.ga_runtime_create(nativeOptions, handle, error), error);
            long runtime = handle.get(ValueLayout.JAVA_LONG, 0);
            MemorySegment info = ga_runtime_info.allocate(arena);
            ga_runtime_info.struct_size(info, ga_runtime_info.sizeof());
            check(gated_attention_h.ga_runtime_query(runtime, info, error), error);
            return new NativeRuntime(options, runtime, AbiCodes.instructionSet(ga_runtime_info.isa(info)));
        }
    }

    private static String pathOfCudaLibrary() {
        return switch (CudaLibrary.state()) {
            case CudaLibrary.Opened opened -> opened.path();
            case CudaLibrary.Missing missing ->
                throw new GatedAttentionException(Status.UNAVAILABLE, missing.message());
        };
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
