package io.github.gatedattention.testing;

import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Assumptions;

/**
 * The fake library of the CUDA kernels, whose two devices are memory of the host and compute with the CPU's scalar kernels: see
 * {@code native/test/cuda/fake_cuda.h}. The C++ tests' build makes it.
 */
public final class FakeCuda {
    private static final Path BUILT = Path.of("../build/native/test/cuda/libgatedattention_fake_cuda.so");

    private FakeCuda() {}

    /**
     * Makes {@code Backend.cuda} use the fake in this JVM; before anything asks for a CUDA backend. Without the C++ build the
     * test is skipped, which the report counts.
     */
    public static void use() {
        Assumptions.assumeTrue(
                Files.isRegularFile(BUILT),
                () -> "no " + BUILT.toAbsolutePath().normalize() + ": build the C++ tests to test CUDA's Java part");
        System.setProperty(
                "gatedattention.cuda.library",
                BUILT.toAbsolutePath().normalize().toString());
    }

    /** Gives the devices so much memory. */
    public static void memory(long bytes) {
        call("fake_cuda_memory", FunctionDescriptor.ofVoid(ValueLayout.JAVA_LONG), bytes);
    }

    /** Makes the next work on the device fail it. */
    public static void breakDevice(int device) {
        call("fake_cuda_break", FunctionDescriptor.ofVoid(ValueLayout.JAVA_INT), device);
    }

    public static void repair() {
        call("fake_cuda_repair", FunctionDescriptor.ofVoid());
    }

    /** Memory that is not freed yet and streams that are not closed. */
    public static long openHandles() {
        return (long) call("fake_cuda_open_handles", FunctionDescriptor.of(ValueLayout.JAVA_LONG));
    }

    /** The stream of the last call. */
    public static long lastStream() {
        return ((MemorySegment) call("fake_cuda_last_stream", FunctionDescriptor.of(ValueLayout.ADDRESS))).address();
    }

    private static Object call(String name, FunctionDescriptor descriptor, Object... arguments) {
        MemorySegment function = SymbolLookup.libraryLookup(
                        BUILT.toAbsolutePath().normalize(), Arena.global())
                .findOrThrow(name);
        try {
            return Linker.nativeLinker().downcallHandle(function, descriptor).invokeWithArguments(arguments);
        } catch (Throwable e) {
            throw new AssertionError(name, e);
        }
    }
}
