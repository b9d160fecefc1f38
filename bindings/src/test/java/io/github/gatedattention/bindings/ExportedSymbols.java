package io.github.gatedattention.bindings;

import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.util.Set;
import java.util.TreeSet;

/** The names that an ELF library offers to others, as {@code nm -D --defined-only} lists them. */
final class ExportedSymbols {

    private static final int SECTION_DYNAMIC_SYMBOLS = 11;
    private static final int SYMBOL_BYTES = 24;
    private static final int UNDEFINED = 0;
    private static final int ABSOLUTE = 0xfff1; // the names of symbol versions
    private static final int LOCAL = 0;

    private final ByteBuffer file;

    private ExportedSymbols(byte[] library) {
        file = ByteBuffer.wrap(library).order(ByteOrder.LITTLE_ENDIAN);
    }

    static Set<String> of(byte[] library) {
        ExportedSymbols symbols = new ExportedSymbols(library);
        int sections = symbols.integer(40);
        int count = Short.toUnsignedInt(symbols.file.getShort(60));
        for (int i = 0; i < count; i++) {
            int header = sections + 64 * i;
            if (symbols.file.getInt(header + 4) == SECTION_DYNAMIC_SYMBOLS) {
                int names = sections + 64 * symbols.file.getInt(header + 40);
                return symbols.read(
                        symbols.integer(header + 24), symbols.integer(header + 32), symbols.integer(names + 24));
            }
        }
        throw new AssertionError("The library has no dynamic symbols");
    }

    private Set<String> read(int table, int bytes, int names) {
        Set<String> exported = new TreeSet<>();
        for (int symbol = table; symbol < table + bytes; symbol += SYMBOL_BYTES) {
            int binding = file.get(symbol + 4) >> 4;
            int section = Short.toUnsignedInt(file.getShort(symbol + 6));
            if (section != UNDEFINED && section != ABSOLUTE && binding != LOCAL) {
                exported.add(string(names + file.getInt(symbol)));
            }
        }
        return exported;
    }

    private int integer(int offset) {
        return Math.toIntExact(file.getLong(offset));
    }

    private String string(int start) {
        int end = start;
        while (file.get(end) != 0) {
            end++;
        }
        return StandardCharsets.UTF_8.decode(file.slice(start, end - start)).toString();
    }
}
