package io.github.gatedattention.safetensors;

import tools.jackson.core.JacksonException;
import tools.jackson.core.JsonParser;
import tools.jackson.core.JsonToken;
import tools.jackson.core.exc.StreamConstraintsException;
import tools.jackson.core.exc.UnexpectedEndOfInputException;

/** Says in this package's words what a JSON parser stumbled over. */
final class JsonProblem {
    private JsonProblem() {}

    static SafetensorsException explain(InputFile file, JacksonException e) {
        if (e.getCause() instanceof SafetensorsException known) {
            return known;
        }
        return switch (e) {
            case UnexpectedEndOfInputException _ ->
                file.problem("header ends in the middle of its JSON, at character "
                        + e.getLocation().getCharOffset());
            case StreamConstraintsException _
            when e.getOriginalMessage().startsWith("Name length") ->
                file.problem("header holds a name longer than " + Header.MAX_NAME + " characters");
            case StreamConstraintsException _ ->
                file.problem("header breaks a limit: " + firstSentence(e.getOriginalMessage()));
            default ->
                file.problem("header is not JSON at character "
                        + e.getLocation().getCharOffset() + ": " + Quote.line(firstSentence(e.getOriginalMessage())));
        };
    }

    /** The current value for a message: {@code the number 1.5}. */
    static String describe(JsonParser parser) {
        JsonToken token = parser.currentToken();
        return switch (token) {
            case START_OBJECT -> "an object";
            case START_ARRAY -> "an array";
            case VALUE_STRING -> "the string " + Quote.name(parser.getString());
            case VALUE_NUMBER_INT, VALUE_NUMBER_FLOAT -> "the number " + Quote.clean(parser.getString());
            case VALUE_TRUE, VALUE_FALSE, VALUE_NULL -> parser.getString();
            default -> "nothing";
        };
    }

    /** Without the parser's hints at its own settings and source objects. */
    private static String firstSentence(String message) {
        return message.replaceAll(",? from `[^`]*`", "")
                .replaceAll(" \\(start marker at .*", "")
                .replaceAll("[.\\s]+$", "");
    }
}
