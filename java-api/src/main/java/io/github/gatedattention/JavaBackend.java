package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** Vectors where the JVM was started with {@code jdk.incubator.vector}, else plain loops; see {@link JavaEngine}. */
final class JavaBackend extends Backend {
    private final @Nullable String reasonAgainstVectors;

    /**
     * Makes the backend.
     *
     * @param reasonAgainstVectors why not to use the Vector API; null when it is there and to be used
     */
    JavaBackend(@Nullable String reasonAgainstVectors) {
        this.reasonAgainstVectors = reasonAgainstVectors;
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
    public @Nullable String slowReason() {
        return reasonAgainstVectors;
    }

    @Override
    Engine open(Settings settings) {
        return new JavaEngine(settings, reasonAgainstVectors == null);
    }

    @Override
    PrologueEngine open(PrologueSettings settings) {
        return new JavaPrologue(settings);
    }

    @Override
    EpilogueEngine open(EpilogueSettings settings) {
        return new JavaEpilogue(settings);
    }
}
