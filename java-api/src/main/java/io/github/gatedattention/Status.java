package io.github.gatedattention;

/** What kind of failure a {@link GatedAttentionException} reports. */
public enum Status {
    /** A value is outside its range, or two values do not fit each other, and only native code could see it. */
    INVALID_ARGUMENT,
    /** The native runtime was closed. */
    INVALID_HANDLE,
    /** Valid, but this build or machine cannot do it. */
    UNSUPPORTED,
    /** Memory could not be had; the attention stays usable. */
    OUT_OF_MEMORY,
    /** A defect of the library. */
    INTERNAL,
    /** What a device needs is missing: a library, a driver, a device, or a newer one of them. */
    UNAVAILABLE,
    /** A device failed, in this call or before; the message says what came first. Only a new process can use it again. */
    DEVICE_FAILED
}
