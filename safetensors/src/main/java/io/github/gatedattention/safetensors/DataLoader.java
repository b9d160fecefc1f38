package io.github.gatedattention.safetensors;

import com.sun.management.OperatingSystemMXBean;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.management.ManagementFactory;
import java.util.LinkedHashMap;

/**
 * Copies the data into the caller's arena. Each tensor gets its own 64-byte boundary, whatever its offset in the file: the format
 * lets an F32 tensor start at an odd byte, vector code wants whole cache lines.
 */
final class DataLoader {
    private static final long ALIGNMENT = 64;

    /** The most bytes per read: the JDK reads through a ByteBuffer, which holds less than 2^31. */
    private static final long CHUNK = 1L << 30;

    /** Below this the machine is not asked for its memory; asking costs some 30 ms. */
    private static final long UNQUESTIONED = 1L << 30;

    private DataLoader() {}

    static LinkedHashMap<String, SafetensorsTensor> load(InputFile file, Header header, long dataStart, Arena arena)
            throws SafetensorsException {
        MemorySegment memory = allocate(file, header, arena);
        var tensors = new LinkedHashMap<String, SafetensorsTensor>();
        long at = 0;
        for (TensorEntry entry : header.entries().values()) {
            MemorySegment data = memory.asSlice(at, entry.bytes());
            for (long done = 0; done < entry.bytes(); done += CHUNK) {
                long bytes = Math.min(CHUNK, entry.bytes() - done);
                file.readFully(data.asSlice(done, bytes).asByteBuffer(), dataStart + entry.begin() + done);
            }
            tensors.put(entry.name(), new SafetensorsTensor(entry.name(), entry.type(), entry.shape(), data));
            at += aligned(entry.bytes());
        }
        return tensors;
    }

    private static MemorySegment allocate(InputFile file, Header header, Arena arena) throws SafetensorsException {
        long total = 0;
        for (TensorEntry entry : header.entries().values()) {
            total += aligned(entry.bytes());
            if (total < 0) {
                throw file.problem("needs more than 2^63 bytes of memory for its tensors");
            }
        }
        if (total > UNQUESTIONED) {
            long machine = ((OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean()).getTotalMemorySize();
            if (total > machine) {
                throw file.problem("needs " + total + " bytes of memory for its tensors, this machine has " + machine);
            }
        }
        try {
            return arena.allocate(total, ALIGNMENT);
        } catch (OutOfMemoryError e) {
            throw file.problem("needs " + total + " bytes of memory for its tensors, which the system refused");
        }
    }

    private static long aligned(long bytes) {
        return (bytes + ALIGNMENT - 1) & -ALIGNMENT;
    }
}
