package io.github.gatedattention.safetensors;

import java.util.Arrays;
import java.util.Locale;
import org.jspecify.annotations.Nullable;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;

/** Parses one tensor of the header: {@code {"dtype":"F32","shape":[2,3],"data_offsets":[0,24]}}, nothing more, nothing less. */
final class EntryParser {
    private final InputFile file;
    private final JsonParser parser;

    /** The array being read; the longest one the format has is a shape. */
    private final long[] numbers = new long[Shapes.MAX_RANK];

    EntryParser(InputFile file, JsonParser parser) {
        this.file = file;
        this.parser = parser;
    }

    /** The tensor whose value the parser stands at. */
    TensorEntry parse(String name) throws SafetensorsException {
        if (parser.currentToken() != JsonToken.START_OBJECT) {
            throw problem(
                    name,
                    "is " + JsonProblem.describe(parser)
                            + ", an object with dtype, shape and data_offsets is expected");
        }
        SafetensorsType type = null;
        long[] shape = null;
        long[] offsets = null;
        while (parser.nextToken() != JsonToken.END_OBJECT) {
            String field = parser.currentName();
            parser.nextToken();
            switch (field) {
                case "dtype" -> {
                    requireFirst(name, field, type);
                    type = type(name);
                }
                case "shape" -> {
                    requireFirst(name, field, shape);
                    shape = integers(name, field, Shapes.MAX_RANK, "at most");
                }
                case "data_offsets" -> {
                    requireFirst(name, field, offsets);
                    offsets = integers(name, field, 2, "exactly");
                }
                default ->
                    throw problem(
                            name,
                            "has the unknown field " + Quote.name(field) + "; known are dtype, shape and data_offsets");
            }
        }
        if (type == null || shape == null || offsets == null) {
            throw problem(name, "lacks " + (type == null ? "dtype" : shape == null ? "shape" : "data_offsets"));
        }
        return entry(name, type, shape, offsets);
    }

    private TensorEntry entry(String name, SafetensorsType type, long[] shape, long[] offsets)
            throws SafetensorsException {
        if (offsets.length != 2) {
            throw problem(name, "data_offsets has " + offsets.length + " numbers, exactly 2 are expected");
        }
        long begin = offsets[0];
        long end = offsets[1];
        if (begin > end) {
            throw problem(name, "begins at byte " + begin + " of the data, after its end at " + end);
        }
        long expected;
        try {
            expected = Shapes.bytes(type, shape);
        } catch (IllegalArgumentException e) {
            throw problem(name, String.valueOf(e.getMessage()));
        }
        if (expected != end - begin) {
            throw problem(
                    name,
                    type + " of shape " + Arrays.toString(shape) + " takes " + expected + " bytes, data_offsets ["
                            + begin + ", " + end + "] span " + (end - begin));
        }
        return new TensorEntry(name, type, shape, begin, end);
    }

    private SafetensorsType type(String name) throws SafetensorsException {
        if (parser.currentToken() != JsonToken.VALUE_STRING) {
            throw problem(name, "dtype is " + JsonProblem.describe(parser) + ", a string is expected");
        }
        String text = parser.getString();
        var type = SafetensorsType.named(text);
        if (type.isEmpty()) {
            String upper = text.toUpperCase(Locale.ROOT);
            throw problem(
                    name,
                    "dtype " + Quote.name(text) + " is unknown; "
                            + (SafetensorsType.named(upper).isPresent()
                                    ? "it is spelled " + Quote.name(upper)
                                    : "known are " + Arrays.toString(SafetensorsType.values())));
        }
        return type.get();
    }

    /** A fresh array of the non-negative integers at the parser; {@code limit} of them fit. */
    private long[] integers(String name, String field, int limit, String limitKind) throws SafetensorsException {
        if (parser.currentToken() != JsonToken.START_ARRAY) {
            throw problem(name, field + " is " + JsonProblem.describe(parser) + ", an array of integers is expected");
        }
        int count = 0;
        while (parser.nextToken() != JsonToken.END_ARRAY) {
            long number = integer(name, field);
            if (count < limit) {
                numbers[count] = number;
            }
            count++;
        }
        if (count > limit) {
            throw problem(name, field + " has " + count + " numbers, " + limitKind + " " + limit + " are expected");
        }
        return Arrays.copyOf(numbers, count);
    }

    /** An integer taken from its digits: a detour through double would round it beyond 2^53. */
    private long integer(String name, String field) throws SafetensorsException {
        if (parser.currentToken() != JsonToken.VALUE_NUMBER_INT) {
            throw problem(name, field + " holds " + JsonProblem.describe(parser) + ", an integer is expected");
        }
        String digits = parser.getString();
        if (digits.startsWith("-")) {
            throw problem(name, field + " holds " + Quote.clean(digits) + ", a negative number");
        }
        try {
            return Long.parseLong(digits);
        } catch (NumberFormatException e) {
            throw problem(name, field + " holds " + Quote.clean(digits) + ", more than " + Long.MAX_VALUE);
        }
    }

    private void requireFirst(String name, String field, @Nullable Object before) throws SafetensorsException {
        if (before != null) {
            throw problem(name, "has " + field + " twice");
        }
    }

    private SafetensorsException problem(String name, String problem) {
        return file.problem("tensor " + Quote.name(name) + " " + problem);
    }
}
