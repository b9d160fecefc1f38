package io.github.gatedattention.safetensors;

import java.nio.ByteBuffer;
import java.util.LinkedHashMap;
import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.ObjectReadContext;
import tools.jackson.core.StreamReadConstraints;
import tools.jackson.core.TokenStreamFactory;
import tools.jackson.core.exc.StreamReadException;
import tools.jackson.core.json.JsonFactory;

/** Parses the header: one JSON object whose members are tensors and, at most once, {@code __metadata__}. */
final class HeaderParser {
    /** The header, a tensor in it, its shape or offsets: nothing lies deeper. */
    private static final int MAX_DEPTH = 3;

    // Names are neither interned nor kept in a table: a hostile million of them would fill it or make it collide.
    private static final JsonFactory JSON = JsonFactory.builder()
            .disable(TokenStreamFactory.Feature.CANONICALIZE_PROPERTY_NAMES)
            .disable(TokenStreamFactory.Feature.INTERN_PROPERTY_NAMES)
            .streamReadConstraints(StreamReadConstraints.builder()
                    .maxNestingDepth(MAX_DEPTH)
                    .maxNameLength(Header.MAX_NAME)
                    .maxNumberLength((int) Header.MAX_BYTES)
                    .maxStringLength((int) Header.MAX_BYTES)
                    .build())
            .build();

    private final InputFile file;
    private final JsonParser parser;
    private final EntryParser entries;

    private HeaderParser(InputFile file, JsonParser parser) {
        this.file = file;
        this.parser = parser;
        this.entries = new EntryParser(file, parser);
    }

    /** The header in the {@code bytes} bytes after the file's first 8. */
    static Header parse(InputFile file, long bytes) throws SafetensorsException {
        requireBrace(file);
        try (var text = new HeaderText(file, bytes);
                JsonParser parser = JSON.createParser(ObjectReadContext.empty(), text)) {
            return new HeaderParser(file, parser).parse();
        } catch (JacksonException e) {
            throw JsonProblem.explain(file, e);
        } catch (OutOfMemoryError e) {
            throw file.problem("header of " + bytes + " bytes does not fit the heap of "
                    + Runtime.getRuntime().maxMemory() + " bytes; raise -Xmx");
        }
    }

    private static void requireBrace(InputFile file) throws SafetensorsException {
        byte[] first = new byte[1];
        file.readFully(ByteBuffer.wrap(first), Header.LENGTH_BYTES);
        if (first[0] != '{') {
            String what = first[0] == (byte) 0xef ? " (a byte order mark?)" : first[0] == '[' ? " ('[')" : "";
            throw file.problem(
                    String.format("header begins with byte 0x%02x%s, it must begin with 0x7b ('{')", first[0], what));
        }
    }

    private Header parse() throws SafetensorsException {
        var tensors = new LinkedHashMap<String, TensorEntry>();
        LinkedHashMap<String, String> metadata = null;
        parser.nextToken();
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            String name = parser.currentName();
            parser.nextToken();
            if (!name.equals(Header.METADATA)) {
                file.require(Names.problemOfTensor(name));
                if (tensors.put(name, entries.parse(name)) != null) {
                    throw file.problem("tensor " + Quote.name(name) + " appears twice in the header");
                }
            } else if (metadata == null) {
                metadata = metadata();
            } else {
                throw file.problem(Header.METADATA + " appears twice in the header");
            }
        }
        requireEnd();
        return new Header(tensors, metadata == null ? new LinkedHashMap<>() : metadata);
    }

    private LinkedHashMap<String, String> metadata() throws SafetensorsException {
        if (parser.currentToken() != JsonToken.START_OBJECT) {
            throw file.problem(
                    Header.METADATA + " is " + JsonProblem.describe(parser) + ", an object of strings is expected");
        }
        var metadata = new LinkedHashMap<String, String>();
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            String key = parser.currentName();
            if (parser.nextToken() != JsonToken.VALUE_STRING) {
                throw file.problem(Header.METADATA + " entry " + Quote.name(key) + " is " + JsonProblem.describe(parser)
                        + ", a string is expected");
            }
            String value = parser.getString();
            file.require(Names.problemOfText("metadata key", key));
            file.require(Names.problemOfText("metadata value", value));
            if (metadata.put(key, value) != null) {
                throw file.problem(Header.METADATA + " entry " + Quote.name(key) + " appears twice");
            }
        }
        return metadata;
    }

    /** After the object only white space may follow: writers pad the header to a multiple of 8 bytes. */
    private void requireEnd() throws SafetensorsException {
        long end = parser.currentLocation().getCharOffset();
        boolean more;
        try {
            more = parser.nextToken() != null;
        } catch (StreamReadException e) {
            more = true;
        }
        if (more) {
            throw file.problem("header goes on after the brace that closes it at character " + end);
        }
    }
}
