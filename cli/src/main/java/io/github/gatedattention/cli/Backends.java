package io.github.gatedattention.cli;

import io.github.gatedattention.Backend;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** Backends by the names that users give. */
public final class Backends {
    private static final List<Backend> ALL = List.of(Backend.cpu(), Backend.java());

    private Backends() {}

    /** Every backend, available or not. */
    public static List<Backend> all() {
        return ALL;
    }

    /** The fastest available backend; unlike {@link Backend#best()} it logs nothing, its callers say it themselves. */
    public static Backend best() {
        return ALL.stream().filter(Backend::isAvailable).findFirst().orElseThrow();
    }

    /**
     * The backend of this name, or the best one without a name.
     *
     * @throws InputException when there is none or it is not available
     */
    public static Backend named(@Nullable String name) {
        if (name == null) {
            return best();
        }
        Backend backend = ALL.stream()
                .filter(candidate -> candidate.name().equals(name))
                .findFirst()
                .orElseThrow(() -> new InputException("--backend is " + Text.quote(name) + ", allowed are cpu, java"));
        String reason = backend.unavailableReason();
        if (reason != null) {
            throw new InputException("--backend " + name + " is not available: " + reason);
        }
        return backend;
    }
}
