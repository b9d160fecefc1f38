package io.github.gatedattention.safetensors;

import java.util.Optional;

/** Which names of tensors and metadata are allowed, for reader and writer alike. */
final class Names {
    private Names() {}

    /** What is wrong with a tensor's name, if anything. */
    static Optional<String> problemOfTensor(String name) {
        if (name.equals(Header.METADATA)) {
            return Optional.of("tensor name " + Quote.name(name) + " is reserved");
        }
        if (name.length() > Header.MAX_NAME) {
            return Optional.of("tensor name " + Quote.name(name) + " is longer than " + Header.MAX_NAME);
        }
        for (int i = 0; i < name.length(); i++) {
            if (Character.isISOControl(name.charAt(i))) {
                return Optional.of(String.format(
                        "tensor name %s holds the control character U+%04X at position %d",
                        Quote.name(name), (int) name.charAt(i), i));
            }
        }
        return problemOfText("tensor name", name);
    }

    /** What is wrong with a key or value of the metadata, if anything. */
    static Optional<String> problemOfText(String what, String text) {
        for (int i = 0; i < text.length(); i++) {
            char c = text.charAt(i);
            if (Character.isHighSurrogate(c) && i + 1 < text.length() && Character.isLowSurrogate(text.charAt(i + 1))) {
                i++;
            } else if (Character.isSurrogate(c)) {
                return Optional.of(String.format(
                        "%s %s holds the lone surrogate U+%04X at position %d", what, Quote.name(text), (int) c, i));
            }
        }
        return Optional.empty();
    }
}
