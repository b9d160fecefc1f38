package io.github.gatedattention.bindings;

import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * What {@code ga_abi_table()} says.
 *
 * @param version the ABI version
 * @param structs per struct, its size and fields
 * @param functions the names of all functions
 */
record AbiTable(int version, Map<String, Struct> structs, List<String> functions) {

    /** Size in bytes; fields in order of declaration. */
    record Struct(long size, Map<String, Field> fields) {}

    /** Both in bytes. */
    record Field(long offset, long size) {}

    static AbiTable ofTheLibrary() {
        if (NativeLibrary.state() instanceof NativeLibrary.Refused refused) {
            throw new AssertionError(refused);
        }
        return parse(gated_attention_h.ga_abi_table().getString(0));
    }

    /** One item per line: "abi 1", "struct NAME SIZE", "field STRUCT NAME OFFSET SIZE", "function NAME". */
    static AbiTable parse(String table) {
        int version = -1;
        Map<String, Struct> structs = new LinkedHashMap<>();
        List<String> functions = new ArrayList<>();
        for (String line : table.lines().toList()) {
            String[] words = line.split(" ");
            switch (words[0]) {
                case "abi" -> version = Integer.parseInt(words[1]);
                case "struct" -> structs.put(words[1], new Struct(Long.parseLong(words[2]), new LinkedHashMap<>()));
                case "field" ->
                    structs.get(words[1])
                            .fields()
                            .put(words[2], new Field(Long.parseLong(words[3]), Long.parseLong(words[4])));
                case "function" -> functions.add(words[1]);
                default -> throw new AssertionError("ga_abi_table() has the line \"" + line + "\"");
            }
        }
        return new AbiTable(version, structs, functions);
    }
}
