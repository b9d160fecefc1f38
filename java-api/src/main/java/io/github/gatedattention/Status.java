package io.github.gatedattention;

/** What kind of failure a {@link GatedAttentionException} reports. */
public enum Status {
    /** A value is outside its range, or two values do not fit each other, and only native code could see it. */
    INVALID_ARGUMENT,
    /** The native runtime was closed. */
    INVALID_HANDLE,
    /** Valid, but this build or machine cannot do it. */
    UNSUPPORTED,
    /** Scratch memory could not be had; the attention stays usable. */
    OUT_OF_MEMORY,
    /** A defect of the library. */
    INTERNAL
}
