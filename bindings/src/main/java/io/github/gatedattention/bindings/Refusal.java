package io.github.gatedattention.bindings;

/** Why the native library was not loaded. The message beside it names the values; {@code docs/loading.md} the remedies. */
public enum Refusal {
    /** No library is made for this operating system or processor. */
    UNSUPPORTED_PLATFORM,
    /** This JVM runs on musl (Alpine Linux); the library needs glibc. */
    MUSL,
    /** No JAR with a library for this platform is on the class path or module path, or these bindings know none. */
    NOT_PACKAGED,
    /** A system property holds a value that it cannot have. */
    INVALID_PROPERTY,
    /** The file that the system property names does not exist. */
    NOT_FOUND,
    /** A file or resource is there, but is no regular file or cannot be read. */
    UNREADABLE,
    /** A file is no ELF shared library for a 64-bit little-endian machine. */
    NOT_A_LIBRARY,
    /** A library ends before the end that its own header states; loading it would kill the JVM. */
    TRUNCATED,
    /** A library is for another processor. */
    WRONG_ARCHITECTURE,
    /** The packaged library is not the one that these bindings were built with. */
    HASH_MISMATCH,
    /** Other users could change files in the extraction directory. */
    UNSAFE_DIRECTORY,
    /** The extraction directory is missing, no directory, or cannot be written to. */
    UNUSABLE_DIRECTORY,
    /** The extraction directory is on a file system mounted noexec. */
    NOEXEC_DIRECTORY,
    /** A file stands already where the library was to be written. */
    TARGET_EXISTS,
    /** The file system of the extraction directory is full. */
    NO_SPACE,
    /** Writing the library failed, or what was read back differs. */
    WRITE_FAILED,
    /** The system offers no sealed memory files, or a policy forbids them. */
    MEMORY_FILE_UNAVAILABLE,
    /** The JVM forbids native access to this module. */
    NATIVE_ACCESS_DENIED,
    /** Another class loader of this JVM has loaded this very file. */
    OTHER_CLASS_LOADER,
    /** The operating system's loader refused the library. */
    LINK_FAILED,
    /** A library was loaded, but it does not export the C ABI of gated attention. */
    FOREIGN_LIBRARY,
    /** The library has another ABI version than these bindings. */
    ABI_MISMATCH,
    /** A defect of these bindings or of the JVM. */
    UNEXPECTED
}
