package io.github.gatedattention.safetensors;

import java.io.ByteArrayOutputStream;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.TreeMap;
import tools.jackson.core.JsonGenerator;
import tools.jackson.core.ObjectWriteContext;
import tools.jackson.core.json.JsonFactory;

/** Makes the JSON header for tensors laid one after the other in the order given. */
final class HeaderWriter {
    private static final int ALIGNMENT = 8;
    private static final JsonFactory JSON = new JsonFactory();

    private HeaderWriter() {}

    /** The header's bytes, padded with spaces so that the data starts at a multiple of 8. */
    static ByteBuffer write(List<SafetensorsTensor> tensors, Map<String, String> metadata) {
        var bytes = new ByteArrayOutputStream();
        try (JsonGenerator json = JSON.createGenerator(ObjectWriteContext.empty(), bytes)) {
            json.writeStartObject();
            writeMetadata(json, metadata);
            long at = 0;
            for (SafetensorsTensor tensor : tensors) {
                long end = Math.addExact(at, tensor.data().byteSize());
                writeEntry(json, tensor, at, end);
                at = end;
            }
            json.writeEndObject();
        }
        while (bytes.size() % ALIGNMENT != 0) {
            bytes.write(' ');
        }
        if (bytes.size() > Header.MAX_BYTES) {
            throw new IllegalArgumentException(
                    "header takes " + bytes.size() + " bytes, the format allows at most " + Header.MAX_BYTES);
        }
        return ByteBuffer.wrap(bytes.toByteArray());
    }

    private static void writeMetadata(JsonGenerator json, Map<String, String> metadata) {
        if (metadata.isEmpty()) {
            return;
        }
        json.writeObjectPropertyStart(Header.METADATA);
        new TreeMap<>(metadata).forEach((key, value) -> {
            require(Names.problemOfText("metadata key", key));
            require(Names.problemOfText("metadata value", value));
            json.writeStringProperty(key, value);
        });
        json.writeEndObject();
    }

    private static void writeEntry(JsonGenerator json, SafetensorsTensor tensor, long begin, long end) {
        require(Names.problemOfTensor(tensor.name()));
        json.writeObjectPropertyStart(tensor.name());
        json.writeStringProperty("dtype", tensor.dtype().name());
        writeNumbers(json, "shape", tensor.shape());
        writeNumbers(json, "data_offsets", begin, end);
        json.writeEndObject();
    }

    private static void writeNumbers(JsonGenerator json, String field, long... numbers) {
        json.writeArrayPropertyStart(field);
        for (long number : numbers) {
            json.writeNumber(number);
        }
        json.writeEndArray();
    }

    private static void require(Optional<String> problem) {
        if (problem.isPresent()) {
            throw new IllegalArgumentException(problem.get());
        }
    }
}
