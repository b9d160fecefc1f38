package io.github.gatedattention.bindings.probe;

import io.github.gatedattention.bindings.NativeLibrary;
import io.github.gatedattention.bindings.generated.ga_runtime_options;
import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.ref.WeakReference;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;

/**
 * Lets the class loader of the bindings die while a runtime that nobody closed still has threads, as a web application
 * does that is deployed anew.
 */
public final class UnloadProbe {

    private UnloadProbe() {}

    public static void main(String[] arguments) throws Exception {
        WeakReference<ClassLoader> loader = use(LoadersProbe.urls(arguments[0]));
        for (int i = 0; i < 100 && loader.get() != null; i++) {
            System.gc();
            Thread.sleep(20);
        }
        Thread.sleep(200); // the JVM closes the library on a thread of its own
        System.out.println("unloaded=" + (loader.get() == null));
        try (Stream<String> mapped = Files.lines(Path.of("/proc/self/maps"))) {
            System.out.println("mapped=" + mapped.anyMatch(line -> line.contains("libgatedattention")));
        }
    }

    private static WeakReference<ClassLoader> use(URL[] classPath) throws Exception {
        URLClassLoader loader = new URLClassLoader(classPath, ClassLoader.getPlatformClassLoader());
        loader.loadClass(Leaker.class.getName()).getMethod("leak").invoke(null);
        loader.close();
        return new WeakReference<>(loader);
    }

    /** Runs inside the loader. */
    public static final class Leaker {

        private Leaker() {}

        public static void leak() {
            StateProbe.print("", NativeLibrary.state());
            try (Arena arena = Arena.ofConfined()) {
                MemorySegment options = arena.allocate(ga_runtime_options.layout());
                ga_runtime_options.struct_size(options, options.byteSize());
                ga_runtime_options.threads(options, 4);
                ga_runtime_options.max_isa(options, gated_attention_h.GA_ISA_COUNT());
                MemorySegment runtime = arena.allocate(ValueLayout.JAVA_LONG);
                System.out.println(
                        "created=" + gated_attention_h.ga_runtime_create(options, runtime, MemorySegment.NULL));
            }
        }
    }
}
