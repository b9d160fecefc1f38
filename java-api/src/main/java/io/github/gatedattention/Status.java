package io.github.gatedattention;

/** What kind of failure a {@link GatedAttentionException} reports. */
public enum Status {
    /** A value is outside its range, or two values do not fit each other, and only native code could see it. */
    INVALID_ARGUMENT(1),
    /** The native runtime was closed. */
    INVALID_HANDLE(2),
    /** Valid, but this build or machine cannot do it. */
    UNSUPPORTED(3),
    /** Scratch memory could not be had; the attention stays usable. */
    OUT_OF_MEMORY(4),
    /** A defect of the library. */
    INTERNAL(5);

    private final int code;

    Status(int code) {
        this.code = code;
    }

    /** The status of an ABI code other than 0; an unknown code is a defect. */
    static Status ofCode(int code) {
        for (Status status : values()) {
            if (status.code == code) {
                return status;
            }
        }
        return INTERNAL;
    }
}
