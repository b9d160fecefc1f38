package io.github.gatedattention.bindings;

import java.lang.foreign.FunctionDescriptor;
import java.lang.foreign.Linker;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.lang.invoke.MethodHandle;
import org.jspecify.annotations.Nullable;

/**
 * Large pages for memory that kernels read from end to end: fewer translations of addresses, so decode over a long cache reads
 * nearer to the memory's rate.
 *
 * <p>The operating system is advised (Linux, {@code madvise}), never required: what is in the memory stays as it is, and where there
 * are no large pages, or native access is not enabled, nothing happens.
 */
public final class LargePages {

    /** The size of a large page and the alignment that makes the most of them. */
    public static final long BYTES = 2L << 20;

    private static final int USE_LARGE_PAGES = 14; // MADV_HUGEPAGE
    private static final int COLLAPSE_NOW = 25; // MADV_COLLAPSE, Linux 6.1: else a kernel thread does it later

    private LargePages() {}

    /**
     * {@return whether memory of that size is worth large pages, and this JVM may ask for them}
     *
     * @param bytes the size of the memory
     */
    public static boolean suit(long bytes) {
        return bytes >= 2 * BYTES && LargePages.class.getModule().isNativeAccessEnabled() && Advice.MADVISE != null;
    }

    /**
     * Asks for large pages under the memory, all that lie in it whole.
     *
     * @param memory native memory, of which {@link #suit} holds
     */
    public static void advise(MemorySegment memory) {
        MethodHandle madvise = Advice.MADVISE;
        long first = Math.ceilDiv(memory.address(), BYTES) * BYTES;
        long bytes = Math.floorDiv(memory.address() + memory.byteSize() - first, BYTES) * BYTES;
        if (madvise == null || bytes <= 0) {
            return;
        }
        MemorySegment pages = MemorySegment.ofAddress(first);
        try {
            if ((int) madvise.invokeExact(pages, bytes, USE_LARGE_PAGES) == 0) {
                int ignored = (int) madvise.invokeExact(pages, bytes, COLLAPSE_NOW);
            }
        } catch (Throwable e) {
            throw new IllegalStateException("madvise could not be called", e);
        }
    }

    /** Bound when it is first needed, and native access is enabled by then. */
    private static final class Advice {
        static final @Nullable MethodHandle MADVISE = madvise();

        private static @Nullable MethodHandle madvise() {
            if (!System.getProperty("os.name").equals("Linux")) {
                return null;
            }
            Linker linker = Linker.nativeLinker();
            FunctionDescriptor descriptor = FunctionDescriptor.of(
                    ValueLayout.JAVA_INT, ValueLayout.ADDRESS, ValueLayout.JAVA_LONG, ValueLayout.JAVA_INT);
            return linker.defaultLookup()
                    .find("madvise")
                    .map(address -> linker.downcallHandle(address, descriptor))
                    .orElse(null);
        }
    }
}
