package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** Plain Java loops; see {@link JavaEngine}. */
final class JavaBackend extends Backend {

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
        return new JavaEngine(settings);
    }
}
