package io.github.gatedattention.bindings;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.io.InputStream;
import java.lang.foreign.GroupLayout;
import java.lang.foreign.MemoryLayout;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.PaddingLayout;
import java.lang.reflect.Modifier;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.regex.MatchResult;
import java.util.regex.Pattern;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;

/** jextract's output, the header it was made from and the library must say the same. */
class GeneratedBindingsTest {

    private static final Path HEADER = Path.of("../native/include/gated_attention.h");
    private static final Path GENERATED = Path.of("src/main/java/io/github/gatedattention/bindings/generated");
    private static final String PACKAGE = "io.github.gatedattention.bindings.generated.";

    @Test
    void wereMadeFromThisHeader() throws Exception {
        Properties record = new Properties();
        try (InputStream stream = NativeLibrary.class.getResourceAsStream("GENERATED.properties")) {
            record.load(stream);
        }
        assertThat(Sha256.of(Files.readAllBytes(HEADER)))
                .as("the header's SHA-256; run bindings/regenerate after a change of the header")
                .isEqualTo(record.getProperty("header.sha256"));
        assertThat(record.getProperty("jextract.version")).startsWith("jextract ");
        assertThat(record.getProperty("jextract.commit")).matches("[0-9a-f]{40}");
    }

    @Test
    void haveTheLibrarysVersion() {
        AbiTable table = AbiTable.ofTheLibrary();
        assertThat(table.version()).isEqualTo(gated_attention_h.GA_ABI_VERSION());
        assertThat(gated_attention_h.ga_abi_version()).isEqualTo(gated_attention_h.GA_ABI_VERSION());
    }

    @Test
    void bindEveryFunction() throws Exception {
        List<String> functions = AbiTable.ofTheLibrary().functions();
        List<String> bound = Arrays.stream(gated_attention_h.class.getDeclaredMethods())
                .filter(method -> Modifier.isPublic(method.getModifiers()))
                .map(method -> method.getName())
                .filter(name -> name.endsWith("$address"))
                .map(name -> name.substring(0, name.length() - "$address".length()))
                .toList();
        assertThat(bound).containsExactlyInAnyOrderElementsOf(functions);
        assertThat(declaredFunctions()).containsExactlyInAnyOrderElementsOf(functions);
        for (String function : functions) {
            MemorySegment address = (MemorySegment)
                    gated_attention_h.class.getMethod(function + "$address").invoke(null);
            assertThat(address.address()).as(function).isNotZero();
        }
    }

    @Test
    void haveTheLibrarysLayouts() throws Exception {
        Map<String, AbiTable.Struct> generated = new LinkedHashMap<>();
        for (String name : structNames()) {
            GroupLayout layout = (GroupLayout)
                    Class.forName(PACKAGE + name).getMethod("layout").invoke(null);
            generated.put(name, describe(layout));
        }
        assertThat(generated).isEqualTo(AbiTable.ofTheLibrary().structs());
    }

    /** A struct whose layout has no hidden padding looks the same to every compiler. */
    @Test
    void haveNoPadding() throws Exception {
        for (String name : structNames()) {
            GroupLayout layout = (GroupLayout)
                    Class.forName(PACKAGE + name).getMethod("layout").invoke(null);
            assertThat(layout.memberLayouts()).as(name).noneMatch(PaddingLayout.class::isInstance);
        }
    }

    private static AbiTable.Struct describe(GroupLayout layout) {
        Map<String, AbiTable.Field> fields = new LinkedHashMap<>();
        for (MemoryLayout member : layout.memberLayouts()) {
            member.name().ifPresent(name -> {
                long offset = layout.byteOffset(MemoryLayout.PathElement.groupElement(name));
                fields.put(name, new AbiTable.Field(offset, member.byteSize()));
            });
        }
        return new AbiTable.Struct(layout.byteSize(), fields);
    }

    private static List<String> structNames() throws Exception {
        try (Stream<Path> files = Files.list(GENERATED)) {
            return files.map(file -> file.getFileName().toString().replace(".java", ""))
                    .filter(name -> !name.startsWith("gated_attention_h"))
                    .sorted()
                    .toList();
        }
    }

    private static List<String> declaredFunctions() throws Exception {
        return Pattern.compile("GA_API [^;(]*?(ga_\\w+)\\(")
                .matcher(Files.readString(HEADER))
                .results()
                .map((MatchResult match) -> match.group(1))
                .toList();
    }
}
