package io.github.gatedattention.bindings;

import java.util.Arrays;

/** All bytes of a library, and where they came from. */
final class LibraryImage {

    private final String origin;
    private final byte[] bytes;
    private final String sha256;

    LibraryImage(String origin, byte[] bytes) {
        this.origin = origin;
        this.bytes = bytes;
        this.sha256 = Sha256.of(bytes);
    }

    /** The file or resource, for messages. */
    String origin() {
        return origin;
    }

    /** The bytes themselves, not a copy. */
    byte[] bytes() {
        return bytes;
    }

    /** The first byte where a copy differs, or -1 when it is the same. */
    int mismatch(byte[] copy) {
        return Arrays.mismatch(bytes, copy);
    }

    /** Their SHA-256 in lower-case hexadecimal. */
    String sha256() {
        return sha256;
    }
}
