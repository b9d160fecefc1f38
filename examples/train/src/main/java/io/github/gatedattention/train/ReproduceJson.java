package io.github.gatedattention.train;

import java.io.StringWriter;
import java.util.List;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.json.JsonFactory;

/** {@link ExperimentResults} as JSON: a run a line, with its settings and its whole curve. */
final class ReproduceJson {
    private ReproduceJson() {}

    static String text(ExperimentResults results, String machine, String date, long seconds) {
        var text = new StringWriter();
        try (JsonGenerator json = new JsonFactory().createGenerator(ObjectWriteContext.empty(), text)) {
            json.writeStartObject();
            json.writeStringProperty("date", date);
            json.writeStringProperty("machine", machine);
            json.writeNumberProperty("seconds", seconds);
            json.writeStringProperty("text", results.text());
            json.writeNumberProperty("entropy_of_bytes", results.entropyOfBytes());
            json.writeNumberProperty("uniform_first_token", results.uniformFirstToken());
            runs(json, "table", results.table());
            runs(json, "rising_rates", results.rising());
            json.writeEndObject();
        }
        return text + "\n";
    }

    private static void runs(JsonGenerator json, String name, List<RunResult> runs) {
        json.writeName(name);
        json.writeStartArray();
        for (RunResult run : runs) {
            json.writeRaw("\n");
            json.writeStartObject();
            run.settings().toMetadata().forEach(json::writeStringProperty);
            json.writeNumberProperty("weights", run.weights());
            json.writeBooleanProperty("finite", run.finite());
            json.writeNumberProperty("tokens_per_second", Math.round(run.tokensPerSecond()));
            json.writeName("curve");
            json.writeStartArray();
            run.curve().forEach(point -> point(json, point));
            json.writeEndArray();
            json.writeEndObject();
        }
        json.writeEndArray();
    }

    private static void point(JsonGenerator json, RunResult.Point point) {
        json.writeStartObject();
        json.writeNumberProperty("step", point.step());
        number(json, "loss", point.loss());
        number(json, "validation_loss", point.validation());
        number(json, "first_token", point.measures().firstToken());
        number(json, "mean_gate", point.measures().gate());
        number(json, "largest_activation", point.measures().largest());
        json.writeEndObject();
    }

    /** JSON has no NaN: there is none where there is no gate, or no finite number. */
    private static void number(JsonGenerator json, String name, double value) {
        json.writeName(name);
        if (Double.isFinite(value)) {
            json.writeNumber(value);
        } else {
            json.writeNull();
        }
    }
}
