package io.github.gatedattention;

import java.util.Optional;

/** Modules that this one {@code requires static}: it works without them. */
final class OptionalModule {
    private OptionalModule() {}

    /** Whether the module is in this run of the JVM, and open to this one. */
    static boolean isReadable(String name) {
        Optional<Module> module = ModuleLayer.boot().findModule(name);
        return module.isPresent() && OptionalModule.class.getModule().canRead(module.get());
    }
}
