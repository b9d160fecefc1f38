package io.github.gatedattention.cli;

import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/** Enum constants as users write them: in lower case. */
public final class Names {
    private Names() {}

    /** The constant as text, for example {@code avx512_bf16}. */
    public static String of(Enum<?> constant) {
        return constant.name().toLowerCase(Locale.ROOT);
    }

    /** All constants of a type, for a message: {@code multiply, add}. */
    public static <E extends Enum<E>> String list(Class<E> type) {
        return Arrays.stream(type.getEnumConstants()).map(Names::of).collect(Collectors.joining(", "));
    }

    /**
     * The constant that is written so.
     *
     * @throws InputException when there is none; its message begins with {@code what}
     */
    public static <E extends Enum<E>> E parse(Class<E> type, String what, String text) {
        return Arrays.stream(type.getEnumConstants())
                .filter(constant -> of(constant).equals(text))
                .findFirst()
                .orElseThrow(
                        () -> new InputException(what + " is " + Text.quote(text) + ", allowed are " + list(type)));
    }
}
