package io.github.gatedattention;

import java.util.Optional;

/** Whether Java's Vector API can be used; names none of its classes, so that it is safe to ask where they are missing. */
final class VectorModule {
    static final String NAME = "jdk.incubator.vector";

    /** {@code -Dgatedattention.vector=false} keeps to plain loops. */
    private static final String SWITCH = "gatedattention.vector";

    private static final boolean RESOLVED = isReadable();

    private VectorModule() {}

    /** Whether the JVM was started with the module and nobody switched it off. */
    static boolean isUsable() {
        return RESOLVED && Boolean.parseBoolean(System.getProperty(SWITCH, "true"));
    }

    private static boolean isReadable() {
        Optional<Module> vectors = ModuleLayer.boot().findModule(NAME);
        return vectors.isPresent() && VectorModule.class.getModule().canRead(vectors.get());
    }
}
