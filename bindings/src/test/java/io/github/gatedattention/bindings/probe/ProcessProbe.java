package io.github.gatedattention.bindings.probe;

import io.github.gatedattention.bindings.NativeLibrary;
import io.github.gatedattention.bindings.generated.ga_runtime_options;
import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.nio.file.Files;
import java.nio.file.Path;

/** Prints what the helper library sees of this process before the library is loaded, after that, and after a runtime. */
public final class ProcessProbe {

    private ProcessProbe() {}

    public static void main(String[] arguments) throws Throwable {
        // The JDK installs a signal handler of its own when a file channel is first read.
        Files.readAllBytes(Path.of(arguments[0]));
        try (Arena arena = Arena.ofConfined()) {
            SymbolLookup helper = SymbolLookup.libraryLookup(Path.of(arguments[0]), arena);
            MethodHandle describe = Linker.nativeLinker()
                    .downcallHandle(
                            helper.findOrThrow("describe"),
                            FunctionDescriptor.ofVoid(ValueLayout.ADDRESS, ValueLayout.JAVA_LONG));
            MemorySegment text = arena.allocate(4096);
            show("before", describe, text);
            StateProbe.print("", NativeLibrary.state());
            show("loaded", describe, text);
            useRuntime(arena);
            show("used", describe, text);
        }
    }

    private static void show(String when, MethodHandle describe, MemorySegment text) throws Throwable {
        describe.invokeExact(text, text.byteSize());
        System.out.println(when + "=" + text.getString(0));
    }

    private static void useRuntime(Arena arena) {
        MemorySegment options = arena.allocate(ga_runtime_options.layout());
        ga_runtime_options.struct_size(options, options.byteSize());
        ga_runtime_options.threads(options, 3);
        ga_runtime_options.max_isa(options, gated_attention_h.GA_ISA_COUNT());
        MemorySegment runtime = arena.allocate(ValueLayout.JAVA_LONG);
        int created = gated_attention_h.ga_runtime_create(options, runtime, MemorySegment.NULL);
        int closed = gated_attention_h.ga_runtime_close(runtime.get(ValueLayout.JAVA_LONG, 0), MemorySegment.NULL);
        System.out.println("statuses=" + created + " " + closed);
    }
}
