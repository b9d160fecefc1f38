package io.github.gatedattention.bindings;

import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.lang.foreign.SymbolLookup;
import java.util.OptionalInt;

/** The two steps that only the operating system's loader can do, apart so that tests can play its failures. */
interface DynamicLinker {

    /** Loads the library into this class's loader, as {@link System#load} does. */
    void load(String absolutePath);

    /** What the loaded library's {@code ga_abi_version()} returns; empty when it exports no such function. */
    OptionalInt abiVersion();

    /**
     * The real one. jextract's classes look their functions up among the libraries of their own class loader, so the load
     * must come from a class of that loader: this one.
     */
    static DynamicLinker ofThisJvm() {
        return new DynamicLinker() {
            @Override
            public void load(String absolutePath) {
                System.load(absolutePath);
            }

            @Override
            public OptionalInt abiVersion() {
                return SymbolLookup.loaderLookup().find("ga_abi_version").isPresent()
                        ? OptionalInt.of(gated_attention_h.ga_abi_version())
                        : OptionalInt.empty();
            }
        };
    }
}
