package io.github.gatedattention.bindings;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.StructLayout;
import java.lang.foreign.SymbolLookup;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import java.lang.invoke.VarHandle;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;

/**
 * A Linux memory file that holds a library and can no longer be changed, for systems where no directory will do.
 *
 * <p>Its descriptor stays open for good: the dynamic linker knows a library by its name, here {@code /proc/self/fd/N}, and
 * would return the old one if N were given to another file.
 */
final class SealedMemory {

    // <linux/memfd.h> and <linux/fcntl.h>
    private static final int CLOSE_ON_EXEC = 0x1;
    private static final int ALLOW_SEALING = 0x2;
    private static final int EXECUTABLE = 0x10;
    private static final int ADD_SEALS = 1033;
    private static final int SEAL_SEALS_SHRINK_GROW_WRITE = 0x1 | 0x2 | 0x4 | 0x8;
    private static final int INVALID_ARGUMENT = 22; // EINVAL

    private static final StructLayout CALL_STATE = Linker.Option.captureStateLayout();
    private static final VarHandle ERRNO = CALL_STATE.varHandle(MemoryLayout.PathElement.groupElement("errno"));

    private final Linker linker = Linker.nativeLinker();

    private SealedMemory() {}

    /**
     * Puts the library into a new memory file and seals it.
     *
     * @return the path by which this process can load it
     */
    static Path create(LibraryImage image) throws RefusedException {
        try {
            return new SealedMemory().seal(image);
        } catch (IOException e) {
            throw unavailable("writing to it failed (" + e + ")");
        }
    }

    private Path seal(LibraryImage image) throws IOException, RefusedException {
        int descriptor = open();
        Path path = Path.of("/proc/self/fd/" + descriptor);
        boolean sealed = false;
        try {
            Files.write(path, image.bytes(), StandardOpenOption.WRITE);
            addSeals(descriptor);
            // Sealed first, read after: nobody can change what was compared.
            int difference = image.mismatch(Files.readAllBytes(path));
            if (difference >= 0) {
                throw unavailable("it differs from the library right after writing, from byte " + difference + " on");
            }
            sealed = true;
            return path;
        } finally {
            if (!sealed) {
                close(descriptor);
            }
        }
    }

    private int open() throws RefusedException {
        MethodHandle create = function(
                "memfd_create", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_INT));
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment name = arena.allocateFrom("libgatedattention.so");
            MemorySegment state = arena.allocate(CALL_STATE);
            int flags = CLOSE_ON_EXEC | ALLOW_SEALING;
            int descriptor = (int) create.invokeExact(state, name, flags | EXECUTABLE);
            if (descriptor < 0 && errno(state) == INVALID_ARGUMENT) {
                descriptor = (int) create.invokeExact(state, name, flags); // Linux before 6.3: always executable
            }
            if (descriptor < 0) {
                throw unavailable("memfd_create failed with errno " + errno(state));
            }
            return descriptor;
        } catch (RefusedException e) {
            throw e;
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    private void addSeals(int descriptor) throws RefusedException {
        MethodHandle fcntl = function(
                "fcntl",
                FunctionDescriptor.of(
                        ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT, ValueLayout.JAVA_INT),
                Linker.Option.firstVariadicArg(2));
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment state = arena.allocate(CALL_STATE);
            int result = (int) fcntl.invokeExact(state, descriptor, ADD_SEALS, SEAL_SEALS_SHRINK_GROW_WRITE);
            if (result != 0) {
                throw unavailable("sealing it failed with errno " + errno(state));
            }
        } catch (RefusedException e) {
            throw e;
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    private void close(int descriptor) throws RefusedException {
        MethodHandle close = function("close", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_INT));
        try (Arena arena = Arena.ofConfined()) {
            // Linux frees the descriptor whatever close returns.
            int ignored = (int) close.invokeExact(arena.allocate(CALL_STATE), descriptor);
        } catch (Throwable e) {
            throw unexpected(e);
        }
    }

    private MethodHandle function(String name, FunctionDescriptor descriptor, Linker.Option... options)
            throws RefusedException {
        SymbolLookup lookup = linker.defaultLookup();
        MemorySegment address = lookup.find(name).orElse(null);
        if (address == null) {
            throw unavailable("the C library has no function " + name);
        }
        Linker.Option[] all = Arrays.copyOf(options, options.length + 1);
        all[options.length] = Linker.Option.captureCallState("errno");
        return linker.downcallHandle(address, descriptor, all);
    }

    private static int errno(MemorySegment state) {
        return (int) ERRNO.get(state, 0L);
    }

    private static RefusedException unavailable(String why) {
        return new RefusedException(
                Refusal.MEMORY_FILE_UNAVAILABLE,
                "The native library cannot be put into a sealed memory file: " + why + "; name a directory for it by -D"
                        + NativeLibrary.DIRECTORY_PROPERTY + "=DIRECTORY.");
    }

    private static RefusedException unexpected(Throwable e) {
        return unavailable("the call failed with " + e);
    }
}
