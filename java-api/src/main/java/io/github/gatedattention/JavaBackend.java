package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** Vectors where the JVM was started with {@code jdk.incubator.vector}, else plain loops; see {@link JavaEngine}. */
final class JavaBackend extends Backend {
    private final boolean vectors;

    /**
     * Makes the backend.
     *
     * @param vectors whether to use the Vector API, which is then there
     */
    JavaBackend(boolean vectors) {
        this.vectors = vectors;
    }

    @Override
    public String name() {
        return "java";
    }

    @Override
    public @Nullable String unavailableReason() {
        return null;
    }

    @Override
    Engine open(Settings settings) {
        return new JavaEngine(settings, vectors);
    }
}
