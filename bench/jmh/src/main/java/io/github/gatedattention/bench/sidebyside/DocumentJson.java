package io.github.gatedattention.bench.sidebyside;

import io.github.gatedattention.bench.Workload;
import io.github.gatedattention.bench.peers.Implementation;
import java.io.StringWriter;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.json.JsonFactory;

/** A {@link Document} as JSON and back: figures in nanoseconds, 1e9 operations or bytes per second, and shares of 1. */
final class DocumentJson {
    private DocumentJson() {}

    static String write(Document document) {
        var text = new StringWriter();
        try (JsonGenerator json = new JsonFactory().createGenerator(ObjectWriteContext.empty(), text)) {
            json.writeStartObject();
            json.writeStringProperty("date", document.date());
            json.writeStringProperty("machine", document.machine());
            json.writeStringProperty("jvm", document.jvm());
            json.writeNumberProperty("threads", document.threads());
            json.writeBooleanProperty("full_length", document.full());
            json.writeStringProperty("limits_absence", document.limitsAbsence());
            writeMap(json, "tuning", document.tuning());
            writeMap(json, "environment", document.environment());
            writeStages(json, document.stages());
            json.writeName("rows");
            json.writeStartArray();
            document.rows().forEach(row -> {
                json.writeRaw("\n"); // a row a line: differences between two runs can be read
                writeRow(json, row);
            });
            json.writeEndArray();
            json.writeEndObject();
        }
        return text + "\n";
    }

    private static void writeMap(JsonGenerator json, String name, Map<String, String> map) {
        json.writeName(name);
        json.writeStartObject();
        map.forEach(json::writeStringProperty);
        json.writeEndObject();
    }

    private static void writeStages(JsonGenerator json, Stages stages) {
        json.writeStringProperty("stages_absence", stages.absence());
        json.writeName("stages");
        json.writeStartArray();
        stages.calls().forEach(call -> {
            json.writeRaw("\n");
            json.writeStartObject();
            json.writeStringProperty("workload", call.workload());
            json.writeStringProperty("type", call.type());
            json.writeNumberProperty("median_ns", call.nanos());
            json.writeName("shares");
            json.writeStartObject();
            call.shares().forEach(json::writeNumberProperty);
            json.writeEndObject();
            json.writeEndObject();
        });
        json.writeEndArray();
    }

    private static Stages readStages(Map<?, ?> document) {
        return new Stages(
                string(document, "stages_absence"),
                list(document, "stages").stream()
                        .map(entry -> {
                            Map<?, ?> call = (Map<?, ?>) entry;
                            Map<String, Double> shares = new LinkedHashMap<>();
                            ((Map<?, ?>) member(call, "shares"))
                                    .forEach((name, share) ->
                                            shares.put(name.toString(), ((Number) share).doubleValue()));
                            return new Stages.Call(
                                    string(call, "workload"), string(call, "type"), number(call, "median_ns"), shares);
                        })
                        .toList());
    }

    private static void writeRow(JsonGenerator json, Measured row) {
        json.writeStartObject();
        json.writeStringProperty("section", row.section().name());
        json.writeStringProperty("workload", row.entry().workload().name());
        json.writeStringProperty("implementation", row.entry().implementation().name());
        json.writeNumberProperty("threads", row.entry().threads());
        if (row.isPresent()) {
            json.writeNumberProperty("median_ns", row.nanos());
            json.writeNumberProperty("p10_ns", row.lowNanos());
            json.writeNumberProperty("p90_ns", row.highNanos());
            json.writeNumberProperty("calls", row.calls());
            json.writeNumberProperty("error", row.error());
            json.writeStringProperty("rate_unit", row.entry().workload().isDecode() ? "GB/s" : "GFLOP/s");
            json.writeNumberProperty("rate", row.rate());
            json.writeStringProperty("limit", row.peak().limit());
            json.writeNumberProperty("peak", row.peak().gigaPerSecond());
            if (!Double.isNaN(row.share())) {
                json.writeNumberProperty("share", row.share());
            }
            writeNumbers(json, "rounds_ns", row.rounds());
            writeNumbers(json, "peak_rounds", row.peak().rounds());
        } else {
            json.writeStringProperty("absence", row.absence());
        }
        json.writeEndObject();
    }

    private static void writeNumbers(JsonGenerator json, String name, List<Double> values) {
        json.writeName(name);
        json.writeStartArray();
        values.forEach(json::writeNumber);
        json.writeEndArray();
    }

    private static List<Double> numbers(Map<?, ?> row, String name) {
        return list(row, name).stream()
                .map(value -> ((Number) value).doubleValue())
                .toList();
    }

    /** What {@link #write} wrote; figures that follow from others are computed anew. */
    static Document read(String text) {
        Map<?, ?> document = parse(text);
        return new Document(
                string(document, "date"),
                string(document, "machine"),
                string(document, "jvm"),
                (int) number(document, "threads"),
                Boolean.TRUE.equals(document.get("full_length")),
                string(document, "limits_absence"),
                strings(document, "tuning"),
                strings(document, "environment"),
                readStages(document),
                list(document, "rows").stream()
                        .map(row -> readRow((Map<?, ?>) row))
                        .toList());
    }

    /** An object: its members are maps, lists, numbers, strings and booleans. */
    static Map<?, ?> parse(String text) {
        try (JsonParser json = new JsonFactory().createParser(ObjectReadContext.empty(), text)) {
            json.nextToken();
            return (Map<?, ?>) value(json);
        }
    }

    private static Measured readRow(Map<?, ?> row) {
        Section section = Section.valueOf(string(row, "section"));
        Entry entry = new Entry(
                Workload.valueOf(string(row, "workload")), Implementation.valueOf(string(row, "implementation")), (int)
                        number(row, "threads"));
        if (row.containsKey("absence")) {
            return Measured.absent(section, entry, string(row, "absence"));
        }
        return new Measured(
                section,
                entry,
                "",
                number(row, "error"),
                (long) number(row, "calls"),
                numbers(row, "rounds_ns"),
                new Peak(string(row, "limit"), numbers(row, "peak_rounds")));
    }

    private static Object value(JsonParser json) {
        return switch (json.currentToken()) {
            case START_OBJECT -> {
                Map<String, Object> map = new LinkedHashMap<>();
                while (json.nextToken() != JsonToken.END_OBJECT) {
                    String name = json.currentName();
                    json.nextToken();
                    map.put(name, value(json));
                }
                yield map;
            }
            case START_ARRAY -> {
                List<Object> list = new ArrayList<>();
                while (json.nextToken() != JsonToken.END_ARRAY) {
                    list.add(value(json));
                }
                yield list;
            }
            case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> json.getDoubleValue();
            case VALUE_TRUE, VALUE_FALSE -> json.getBooleanValue();
            default -> json.getString();
        };
    }

    private static Object member(Map<?, ?> map, String name) {
        Object value = map.get(name);
        if (value == null) {
            throw new IllegalArgumentException("the report's JSON lacks '" + name + "'");
        }
        return value;
    }

    private static String string(Map<?, ?> map, String name) {
        return member(map, name).toString();
    }

    static double number(Map<?, ?> map, String name) {
        return ((Number) member(map, name)).doubleValue();
    }

    private static List<?> list(Map<?, ?> map, String name) {
        return (List<?>) member(map, name);
    }

    private static Map<String, String> strings(Map<?, ?> map, String name) {
        Map<String, String> strings = new LinkedHashMap<>();
        ((Map<?, ?>) member(map, name)).forEach((key, value) -> strings.put(key.toString(), value.toString()));
        return strings;
    }
}
