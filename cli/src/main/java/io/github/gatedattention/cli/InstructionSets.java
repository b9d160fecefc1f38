package io.github.gatedattention.cli;

import io.github.gatedattention.InstructionSet;
import io.github.gatedattention.bindings.LibraryFacts;
import io.github.gatedattention.bindings.NativeLibrary;
import java.util.Locale;
import org.jspecify.annotations.Nullable;

/** Why instruction sets are not in use. */
public final class InstructionSets {
    private static final String CAP_VARIABLE = "GA_MAX_ISA";

    private InstructionSets() {}

    /** The reason why {@code chosen} and not {@code other} is in use, or null when {@code other} would do but is no better. */
    public static @Nullable String reasonAgainst(InstructionSet other, InstructionSet chosen) {
        if (!NativeLibrary.isLoaded()) {
            return "the native library is not loaded";
        }
        String reason = LibraryFacts.instructionSetUnavailable(Names.of(other));
        if (reason != null || other.compareTo(chosen) <= 0) {
            return reason;
        }
        String cap = System.getenv(CAP_VARIABLE);
        if (cap != null && other.compareTo(InstructionSet.valueOf(cap.toUpperCase(Locale.ROOT))) > 0) {
            return "the environment variable " + CAP_VARIABLE + "=" + cap + " forbids it";
        }
        return "this processor is slower with it; " + CAP_VARIABLE + "=" + Names.of(other) + " chooses it all the same";
    }
}
