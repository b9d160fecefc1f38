package io.github.gatedattention.bindings;

import java.io.IOException;
import java.util.List;
import org.jspecify.annotations.Nullable;

/** The library inside the JAR {@code gated-attention-native}: taken only when it is bit for bit the expected one. */
final class PackagedLibrary {

    private PackagedLibrary() {}

    /** The resource's name inside the JAR; its folder is no package, so that module boundaries do not hide it. */
    static String resourceName(String classifier) {
        return "io/github/gatedattention/native/" + classifier
                + (classifier.equals(CudaLibrary.CLASSIFIER) ? "/libgatedattention_cuda.so" : "/libgatedattention.so");
    }

    /**
     * Finds the resource whose SHA-256 is the expected one.
     *
     * @param classifier the platform
     * @param expected the SHA-256 that these bindings were built with, or null when they were built without this platform
     * @param resources where to look
     */
    static LibraryImage find(String classifier, @Nullable String expected, LibraryResources resources)
            throws RefusedException {
        if (expected == null) {
            throw new RefusedException(
                    Refusal.NOT_PACKAGED,
                    "These bindings were built without a library for " + classifier
                            + "; use released bindings, or build one on this machine and name it by -D"
                            + (classifier.equals(CudaLibrary.CLASSIFIER)
                                    ? CudaLibrary.LIBRARY_PROPERTY
                                    : NativeLibrary.LIBRARY_PROPERTY)
                            + "=PATH.");
        }
        List<LibraryResources.Entry> entries = resources.find(resourceName(classifier));
        RefusedException last = new RefusedException(
                Refusal.NOT_PACKAGED,
                "No JAR with the native library for " + classifier
                        + " is on the class path or module path; add io.github.gatedattention:gated-attention-native with"
                        + " the classifier " + classifier + " as a runtime dependency.");
        for (LibraryResources.Entry entry : entries) {
            LibraryImage image;
            try {
                image = new LibraryImage(entry.location(), entry.bytes().read());
            } catch (IOException e) {
                last = new RefusedException(
                        Refusal.UNREADABLE,
                        "The native library " + entry.location() + " cannot be read (" + e
                                + "); download or build that JAR again.");
                continue;
            }
            if (image.sha256().equals(expected)) {
                return image;
            }
            last = new RefusedException(
                    Refusal.HASH_MISMATCH,
                    "The native library " + entry.location() + " has the SHA-256 " + image.sha256()
                            + ", but these bindings expect " + expected
                            + "; use gated-attention-bindings and gated-attention-native of the same version, unchanged.");
        }
        throw last;
    }
}
