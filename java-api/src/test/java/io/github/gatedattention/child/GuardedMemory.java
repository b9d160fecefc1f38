package io.github.gatedattention.child;

import io.github.gatedattention.DataType;
import io.github.gatedattention.Tensor;
import java.lang.foreign.Arena;
import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;

/** Memory between two pages that nobody may touch. */
final class GuardedMemory {
    /** The usual page size; mmap refuses nothing and mprotect refuses this one where pages are larger. */
    private static final long PAGE = 4096;

    private static final int PROT_NONE = 0;
    private static final int PROT_READ_WRITE = 3;
    /** MAP_PRIVATE, MAP_ANONYMOUS, MAP_NORESERVE: pages come to be when they are touched. */
    private static final int MAP_PRIVATE_ANONYMOUS = 0x4022;

    private static final MethodHandle MMAP = function(
            "mmap",
            FunctionDescriptor.of(
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_LONG,
                    ValueLayout.JAVA_INT,
                    ValueLayout.JAVA_INT,
                    ValueLayout.JAVA_INT,
                    ValueLayout.JAVA_LONG));
    private static final MethodHandle MPROTECT = function(
            "mprotect",
            FunctionDescriptor.of(
                    ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT));
    private static final MethodHandle MUNMAP = function(
            "munmap", FunctionDescriptor.of(ValueLayout.JAVA_INT, ValueLayout.JAVA_LONG, ValueLayout.JAVA_LONG));

    private GuardedMemory() {}

    private static MethodHandle function(String name, FunctionDescriptor type) {
        Linker linker = Linker.nativeLinker();
        return linker.downcallHandle(linker.defaultLookup().findOrThrow(name), type);
    }

    /** Which side of the memory touches a guard page. */
    enum Side {
        BEFORE,
        BEHIND
    }

    /** A contiguous tensor whose first byte follows, or whose last byte precedes, a page without access. */
    static Tensor tensor(Arena arena, Side side, DataType type, long... shape) {
        long bytes = type.byteSize();
        for (long extent : shape) {
            bytes *= extent;
        }
        return Tensor.of(segment(arena, side, bytes), type, shape);
    }

    /** Memory of any size, of which only what is touched takes room. */
    static MemorySegment sparse(Arena arena, long bytes) {
        return MemorySegment.ofAddress(map(arena, bytes)).reinterpret(bytes, arena, null);
    }

    private static MemorySegment segment(Arena arena, Side side, long bytes) {
        long usable = (bytes + PAGE - 1) / PAGE * PAGE;
        long start = map(arena, usable + 2 * PAGE);
        protect(start, PAGE);
        protect(start + PAGE + usable, PAGE);
        long address = side == Side.BEFORE ? start + PAGE : start + PAGE + usable - bytes;
        return MemorySegment.ofAddress(address).reinterpret(bytes, arena, null);
    }

    /** Takes the access away from all whole pages from byte {@code from} of the segment on. */
    static void forbid(MemorySegment segment, long from) {
        long first = (segment.address() + from + PAGE - 1) / PAGE * PAGE;
        long end = segment.address() + segment.byteSize();
        if (end > first) {
            protect(first, (end - first) / PAGE * PAGE);
        }
    }

    private static long map(Arena arena, long bytes) {
        try {
            long start = (long) MMAP.invokeExact(0L, bytes, PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1, 0L);
            if (start == -1) {
                throw new IllegalStateException("mmap refused " + bytes + " bytes");
            }
            MemorySegment.ofAddress(start).reinterpret(bytes, arena, _ -> unmap(start, bytes));
            return start;
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }

    private static void unmap(long start, long bytes) {
        try {
            if ((int) MUNMAP.invokeExact(start, bytes) != 0) {
                throw new IllegalStateException("munmap failed");
            }
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }

    private static void protect(long start, long bytes) {
        try {
            if (bytes > 0 && (int) MPROTECT.invokeExact(start, bytes, PROT_NONE) != 0) {
                throw new IllegalStateException("mprotect refused " + bytes + " bytes at 0x" + Long.toHexString(start));
            }
        } catch (Throwable e) {
            throw new IllegalStateException(e);
        }
    }
}
