package io.github.gatedattention.bindings;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;

/**
 * Checks an ELF file before the operating system maps it.
 *
 * <p>Loading a file that is shorter than its header says kills the process with SIGBUS when the missing page is touched.
 * So everything that the header says about the file's extent is compared with the file's size first.
 */
final class ElfFile {

    private static final int HEADER_BYTES = 64;
    private static final int PROGRAM_HEADER_BYTES = 56;
    private static final int SECTION_HEADER_BYTES = 64;
    private static final int CLASS_64 = 2;
    private static final int LITTLE_ENDIAN = 1;
    private static final int TYPE_SHARED = 3;
    private static final int SEGMENT_LOAD = 1;
    private static final int SEGMENT_DYNAMIC = 2;
    private static final int SECTION_WITHOUT_BYTES = 8; // SHT_NOBITS

    private final String name;
    private final ByteBuffer file;

    private ElfFile(String name, byte[] file) {
        this.name = name;
        this.file = ByteBuffer.wrap(file).order(ByteOrder.LITTLE_ENDIAN);
    }

    /**
     * Refuses a file that is no complete shared library for the machine.
     *
     * @param name what messages call the file
     * @param file all bytes of it
     * @param machine the processor that it must be for
     */
    static void check(String name, byte[] file, ElfMachine machine) throws RefusedException {
        ElfFile elf = new ElfFile(name, file);
        elf.checkIdentity();
        elf.checkMachine(machine);
        elf.checkSegments();
        elf.checkSections();
    }

    private void checkIdentity() throws RefusedException {
        if (file.limit() == 0) {
            throw notALibrary("is empty");
        }
        byte[] magic = {0x7f, 'E', 'L', 'F'};
        int known = Math.min(magic.length, file.limit());
        if (!file.slice(0, known).equals(ByteBuffer.wrap(magic, 0, known))) {
            throw notALibrary("begins with " + beginning() + " instead of the four bytes 7f 45 4c 46 of an ELF file");
        }
        if (file.limit() < HEADER_BYTES) {
            throw truncated("its header", HEADER_BYTES);
        }
        int bits = file.get(4);
        int order = file.get(5);
        if (bits != CLASS_64 || order != LITTLE_ENDIAN) {
            throw new RefusedException(
                    Refusal.WRONG_ARCHITECTURE,
                    name + " is a " + (bits == CLASS_64 ? "64" : "32") + "-bit "
                            + (order == LITTLE_ENDIAN ? "little" : "big")
                            + "-endian library, but this JVM needs a 64-bit little-endian one; name a library built for this"
                            + " machine.");
        }
    }

    private void checkMachine(ElfMachine machine) throws RefusedException {
        int actual = Short.toUnsignedInt(file.getShort(18));
        if (actual != machine.code()) {
            throw new RefusedException(
                    Refusal.WRONG_ARCHITECTURE,
                    name + " is for " + ElfMachine.describe(actual) + ", but this JVM runs on " + machine.description()
                            + "; name a library built for this machine.");
        }
        int type = Short.toUnsignedInt(file.getShort(16));
        if (type != TYPE_SHARED) {
            throw notALibrary("is an ELF file of type " + type + " instead of " + TYPE_SHARED + ", a shared library");
        }
    }

    private void checkSegments() throws RefusedException {
        long table = file.getLong(32);
        int entryBytes = Short.toUnsignedInt(file.getShort(54));
        int count = Short.toUnsignedInt(file.getShort(56));
        if (count == 0 || entryBytes != PROGRAM_HEADER_BYTES) {
            throw notALibrary("has " + count + " program headers of " + entryBytes + " bytes instead of one or more of "
                    + PROGRAM_HEADER_BYTES);
        }
        requireInside("its program headers", table, (long) count * entryBytes);
        boolean loads = false;
        boolean dynamic = false;
        for (int i = 0; i < count; i++) {
            int header = (int) table + i * entryBytes;
            requireInside("segment " + i, file.getLong(header + 8), file.getLong(header + 32));
            loads |= file.getInt(header) == SEGMENT_LOAD;
            dynamic |= file.getInt(header) == SEGMENT_DYNAMIC;
        }
        if (!loads || !dynamic) {
            throw notALibrary("has no " + (loads ? "dynamic" : "loadable") + " segment");
        }
    }

    /** The section table stands at the end of most libraries, so it shows a file cut short by even one byte. */
    private void checkSections() throws RefusedException {
        long table = file.getLong(40);
        int entryBytes = Short.toUnsignedInt(file.getShort(58));
        int count = Short.toUnsignedInt(file.getShort(60));
        if (table == 0 || count == 0) {
            return; // stripped of its section table, which no loader needs
        }
        if (entryBytes != SECTION_HEADER_BYTES) {
            throw notALibrary("has section headers of " + entryBytes + " bytes instead of " + SECTION_HEADER_BYTES);
        }
        requireInside("its section headers", table, (long) count * entryBytes);
        for (int i = 0; i < count; i++) {
            int header = (int) table + i * entryBytes;
            if (file.getInt(header + 4) != SECTION_WITHOUT_BYTES) {
                requireInside("section " + i, file.getLong(header + 24), file.getLong(header + 32));
            }
        }
    }

    private void requireInside(String part, long offset, long bytes) throws RefusedException {
        if (offset < 0 || bytes < 0 || offset > Long.MAX_VALUE - bytes) {
            throw notALibrary("places " + part + " at byte " + Long.toUnsignedString(offset) + " with "
                    + Long.toUnsignedString(bytes) + " bytes, which no file can hold");
        }
        if (offset + bytes > file.limit()) {
            throw truncated(part, offset + bytes);
        }
    }

    private RefusedException truncated(String part, long end) {
        return new RefusedException(
                Refusal.TRUNCATED,
                name + " is cut short: it has " + file.limit() + " bytes, but " + part + " would end at byte " + end
                        + "; copy or build it again.");
    }

    private RefusedException notALibrary(String what) {
        return new RefusedException(
                Refusal.NOT_A_LIBRARY, name + " " + what + "; name the libgatedattention.so of this machine.");
    }

    private String beginning() {
        int length = Math.min(16, file.limit());
        String text = StandardCharsets.ISO_8859_1.decode(file.slice(0, length)).toString();
        StringBuilder shown = new StringBuilder("\"");
        for (char c : text.toCharArray()) {
            shown.append(c >= ' ' && c <= '~' ? c : '.');
        }
        return shown.append('"').toString();
    }
}
