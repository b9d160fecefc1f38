package io.github.gatedattention.bindings;

import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.lang.foreign.MemorySegment;
import org.jspecify.annotations.Nullable;

/** What the loaded library says about itself and about this machine's processor. */
public final class LibraryFacts {

    private LibraryFacts() {}

    /**
     * Version, compiler and target of the library.
     *
     * @return one line
     * @throws IllegalStateException when no library is loaded
     */
    public static String buildInfo() {
        requireLoaded();
        return gated_attention_h.ga_build_info().getString(0);
    }

    /**
     * Says why this machine cannot run an instruction set.
     *
     * @param name the instruction set's name in the library, for example {@code avx512_bf16}
     * @return one sentence, or null when it can
     * @throws IllegalArgumentException when the library knows no such name
     * @throws IllegalStateException when no library is loaded
     */
    public static @Nullable String instructionSetUnavailable(String name) {
        requireLoaded();
        for (int isa = 0; isa < gated_attention_h.GA_ISA_COUNT(); isa++) {
            if (gated_attention_h.ga_isa_name(isa).getString(0).equals(name)) {
                MemorySegment reason = gated_attention_h.ga_isa_unavailable(isa);
                return reason.address() == 0 ? null : reason.getString(0);
            }
        }
        throw new IllegalArgumentException("The library knows no instruction set \"" + name + "\"");
    }

    private static void requireLoaded() {
        if (NativeLibrary.state() instanceof NativeLibrary.Refused refused) {
            throw new IllegalStateException(refused.message());
        }
    }
}
