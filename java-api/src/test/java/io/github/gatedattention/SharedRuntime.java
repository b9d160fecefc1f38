package io.github.gatedattention;

import io.github.gatedattention.bindings.generated.ga_error;
import io.github.gatedattention.bindings.generated.ga_runtime_info;
import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;

/** A look at the native runtime that all instances with so many threads share; it stays open for as long as this does. */
public final class SharedRuntime implements AutoCloseable {
    private final NativeRuntime runtime;

    /** Joins those who use it. */
    public SharedRuntime(int threads, InstructionSet cap) {
        runtime = NativeRuntime.acquire(threads, cap);
    }

    /** The scratch memory that it holds. */
    public long workspaceBytes() {
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment info = ga_runtime_info.allocate(arena);
            ga_runtime_info.struct_size(info, ga_runtime_info.sizeof());
            int status = gated_attention_h.ga_runtime_query(runtime.handle(), info, ga_error.allocate(arena));
            if (status != gated_attention_h.GA_OK()) {
                throw new IllegalStateException("ga_runtime_query gave " + status);
            }
            return ga_runtime_info.workspace_bytes(info);
        }
    }

    @Override
    public void close() {
        runtime.release();
    }
}
