package io.github.gatedattention.cli.doctor;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.util.Map;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.json.JsonFactory;

/** Prints a report for people or as JSON. */
final class ReportPrinter {
    private static final int INDENT = 2;
    private static final int KEY_WIDTH = 22;

    private ReportPrinter() {}

    /** One object per section, one array of objects per section that lists things. */
    static String json(Report report) {
        var text = new StringWriter();
        try (JsonGenerator json = new JsonFactory().createGenerator(ObjectWriteContext.empty(), text)) {
            json.writeStartObject();
            report.sections().forEach((name, entries) -> {
                json.writeName(name);
                if (report.isList(name)) {
                    json.writeStartArray();
                    entries.forEach(entry -> writeObject(json, entry));
                    json.writeEndArray();
                } else {
                    writeObject(json, entries.getFirst());
                }
            });
            json.writeEndObject();
        }
        return text.toString();
    }

    private static void writeObject(JsonGenerator json, Map<String, @Nullable Object> facts) {
        json.writeStartObject();
        facts.forEach((key, value) -> {
            json.writeName(key);
            switch (value) {
                case null -> json.writeNull();
                case Boolean flag -> json.writeBoolean(flag);
                case Integer number -> json.writeNumber(number);
                case Long number -> json.writeNumber(number);
                default -> json.writeString(value.toString());
            }
        });
        json.writeEndObject();
    }

    /** Sections with their keys aligned. */
    static void print(Report report, PrintWriter out) {
        report.sections().forEach((name, entries) -> {
            out.println(words(name));
            if (report.isList(name)) {
                entries.forEach(entry -> printLine(out, String.valueOf(entry.get("name")), verdict(entry)));
            } else {
                entries.getFirst()
                        .forEach((key, value) -> printLine(out, words(key.replace("_bytes", "")), words(key, value)));
            }
            out.println();
        });
        out.flush();
    }

    private static void printLine(PrintWriter out, String key, String value) {
        out.println(" ".repeat(INDENT) + key + " ".repeat(Math.max(1, KEY_WIDTH - key.length())) + value);
    }

    /** An instruction set or backend in words: in use, available, or why not. */
    private static String verdict(Map<String, @Nullable Object> entry) {
        if (Boolean.TRUE.equals(entry.get("chosen")) || Boolean.TRUE.equals(entry.get("default"))) {
            return "in use";
        }
        return Boolean.TRUE.equals(entry.get("available")) ? "available" : "no: " + entry.get("reason");
    }

    private static String words(String name) {
        return name.replace('_', ' ');
    }

    private static String words(String key, @Nullable Object value) {
        return switch (value) {
            case null -> "unknown";
            case Boolean flag -> flag ? "yes" : "no";
            case Long bytes when key.endsWith("_bytes") -> Math.round(bytes / (double) (1 << 30)) + " GiB";
            default -> value.toString();
        };
    }
}
