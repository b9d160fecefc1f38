package io.github.gatedattention.cli.doctor;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.Backend;
import io.github.gatedattention.InstructionSet;
import io.github.gatedattention.cli.Outcome;
import io.github.gatedattention.cli.Version;
import java.io.IOException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.json.JsonFactory;

class DoctorCommandTest {
    /** Objects as maps, arrays as lists, everything else as text. */
    private static Object parse(String json) {
        try (JsonParser parser = new JsonFactory().createParser(ObjectReadContext.empty(), json)) {
            parser.nextToken();
            Object value = value(parser);
            assertThat(parser.nextToken()).isNull();
            return value;
        }
    }

    private static Object value(JsonParser parser) {
        return switch (parser.currentToken()) {
            case START_OBJECT -> {
                var map = new LinkedHashMap<String, Object>();
                while (parser.nextToken() != JsonToken.END_OBJECT) {
                    String key = parser.currentName();
                    parser.nextToken();
                    map.put(key, value(parser));
                }
                yield map;
            }
            case START_ARRAY -> {
                var list = new ArrayList<Object>();
                while (parser.nextToken() != JsonToken.END_ARRAY) {
                    list.add(value(parser));
                }
                yield list;
            }
            default -> parser.getString();
        };
    }

    @SuppressWarnings("unchecked")
    private static Map<String, Object> section(Object report, String name) {
        return (Map<String, Object>) ((Map<String, Object>) report).get(name);
    }

    @SuppressWarnings("unchecked")
    private static List<Map<String, Object>> list(Object report, String name) {
        return (List<Map<String, Object>>) ((Map<String, Object>) report).get(name);
    }

    @Test
    void jsonHasTheDocumentedKeys() {
        Object report = parse(Outcome.of("doctor", "--json").succeeded().out());
        assertThat(((Map<?, ?>) report).keySet().stream().map(Object::toString))
                .containsExactly(
                        "program",
                        "machine",
                        "native_library",
                        "instruction_sets",
                        "threads",
                        "native_access",
                        "temporary_directory",
                        "backends",
                        "java_backend");
        assertThat(section(report, "program"))
                .containsOnlyKeys("version", "java_home")
                .containsEntry("version", Version.current());
        assertThat(section(report, "machine")).containsOnlyKeys("processor", "cores", "memory_bytes", "system", "java");
        assertThat(section(report, "threads")).containsOnlyKeys("available_processors", "default_per_call");
        assertThat(section(report, "native_access"))
                .containsOnlyKeys("granted", "how")
                .containsEntry("granted", "true");
        assertThat(section(report, "temporary_directory"))
                .containsOnlyKeys("path", "usable", "exists", "writable", "noexec", "mode", "detail");
        assertThat(list(report, "instruction_sets"))
                .hasSize(InstructionSet.values().length)
                .allSatisfy(set -> assertThat(set).containsOnlyKeys("name", "chosen", "available", "reason"));
        assertThat(list(report, "backends"))
                .allSatisfy(backend -> assertThat(backend).containsOnlyKeys("name", "default", "available", "reason"))
                .extracting(backend -> backend.get("name"))
                .containsExactly("cpu", "java", "cuda:0");
    }

    @Test
    void theLibraryIsDescribedOrItsAbsenceExplained() {
        Object report = parse(Outcome.of("doctor", "--json").succeeded().out());
        Map<String, Object> library = section(report, "native_library");
        List<Map<String, Object>> chosen = list(report, "instruction_sets").stream()
                .filter(set -> set.get("chosen").equals("true"))
                .toList();
        if (Backend.cpu().isAvailable()) {
            assertThat(library)
                    .containsOnlyKeys("loaded", "origin", "how", "sha256", "abi_version", "build")
                    .containsEntry("loaded", "true");
            assertThat(library.get("sha256").toString()).matches("[0-9a-f]{64}");
            assertThat(chosen).hasSize(1);
        } else {
            assertThat(library).containsOnlyKeys("loaded", "refusal", "reason").containsEntry("loaded", "false");
            assertThat(chosen).isEmpty();
        }
    }

    @Test
    void everyInstructionSetBetterThanTheChosenOneHasAReason() {
        List<Map<String, Object>> sets =
                list(parse(Outcome.of("doctor", "--json").succeeded().out()), "instruction_sets");
        for (int i = sets.size() - 1; i >= 0 && !sets.get(i).get("chosen").equals("true"); i--) {
            assertThat(sets.get(i)).containsEntry("available", "false");
            assertThat(sets.get(i).get("reason").toString()).isNotBlank();
        }
    }

    @Test
    void textIsAligned() {
        String text = Outcome.of("doctor").succeeded().out();
        assertThat(text).contains("native library", "instruction sets", "temporary directory", "backends");
        assertThat(text).containsPattern("java backend\\R {2}path +vector_api\\R {2}kernel +java_vector_f32_");
        assertThat(text.lines().filter(line -> line.startsWith("  ")))
                .allSatisfy(line -> assertThat(line.substring(0, 24)).matches("  \\S.* "))
                .allSatisfy(line -> assertThat(line.charAt(24)).isNotEqualTo(' '));
    }

    /** Every way of the pure Java backend, each in a JVM that has it. */
    @Test
    void theJavaBackendSaysWhichWayItTakesAndWhy(@TempDir Path directory) throws IOException, InterruptedException {
        String vectors = "--add-modules=jdk.incubator.vector";
        String off = "-Dgatedattention.vector=false";
        assertThat(javaBackend(directory, vectors))
                .containsOnlyKeys("path", "kernel")
                .containsEntry("path", "vector_api")
                .hasEntrySatisfying(
                        "kernel", kernel -> assertThat(kernel.toString()).matches("java_vector_f32_\\d+"));
        assertThat(javaBackend(directory))
                .containsEntry("path", "plain_loops")
                .containsEntry("kernel", "java_f32")
                .containsEntry(
                        "reason",
                        "the module jdk.incubator.vector is not present;"
                                + " --add-modules jdk.incubator.vector would make it faster");
        assertThat(javaBackend(directory, vectors, off))
                .containsEntry("path", "plain_loops")
                .containsEntry("reason", off + " asks for plain loops");
    }

    private static Map<String, Object> javaBackend(Path directory, String... options)
            throws IOException, InterruptedException {
        Outcome outcome = Outcome.ofProcess(List.of(options), directory, "doctor", "--json");
        assertThat(outcome.code()).as(outcome.err()).isZero();
        return section(parse(outcome.out()), "java_backend");
    }
}
