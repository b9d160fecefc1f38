package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** Whether Java's Vector API can be used; names none of its classes, so that it is safe to ask where they are missing. */
final class VectorModule {
    private static final String NAME = "jdk.incubator.vector";

    /** {@code -Dgatedattention.vector=false} keeps to plain loops. */
    private static final String SWITCH = "gatedattention.vector";

    private static final boolean RESOLVED = OptionalModule.isReadable(NAME);

    private VectorModule() {}

    /** Whether the JVM was started with the module and nobody switched it off. */
    static boolean isUsable() {
        return reasonAgainst() == null;
    }

    /** Everything that stands against it, in one sentence; null when it can be used. */
    static @Nullable String reasonAgainst() {
        String value = System.getProperty(SWITCH, "true");
        boolean wanted = Boolean.parseBoolean(value);
        if (wanted && RESOLVED) {
            return null;
        }
        String off = "-D" + SWITCH + "=" + value + " asks for plain loops";
        String absent = "the module " + NAME + " is not present";
        if (wanted) {
            return absent + "; --add-modules " + NAME + " would make it faster";
        }
        return RESOLVED ? off : off + ", and " + absent;
    }
}
