package io.github.gatedattention;

import io.github.gatedattention.bindings.generated.ga_error;
import java.lang.foreign.MemorySegment;

/** Turns a native failure into an exception. */
final class NativeErrors {
    private NativeErrors() {}

    /** The exception for a status other than {@code GA_OK}, with the sentence that native code left in {@code error}. */
    static GatedAttentionException exception(int status, MemorySegment error) {
        return new GatedAttentionException(AbiCodes.status(status), error.getString(ga_error.message$offset()));
    }
}
