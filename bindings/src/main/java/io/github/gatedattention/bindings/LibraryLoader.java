package io.github.gatedattention.bindings;

import io.github.gatedattention.bindings.NativeLibrary.Loaded;
import io.github.gatedattention.bindings.NativeLibrary.Refused;
import io.github.gatedattention.bindings.NativeLibrary.State;
import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.nio.file.Path;
import java.util.Locale;
import java.util.OptionalInt;
import java.util.function.Supplier;

/** Loads the library from where the environment says, or says why not. */
final class LibraryLoader {

    /** How the packaged library reaches the operating system's loader. */
    private enum Extraction {
        AUTO,
        FILE,
        MEMFD
    }

    private final LoaderEnvironment environment;

    private LibraryLoader(LoaderEnvironment environment) {
        this.environment = environment;
    }

    /** Loads the library; whatever goes wrong, here or while the environment is looked at, becomes a state. */
    static State load(Supplier<LoaderEnvironment> environment) {
        try {
            return new LibraryLoader(environment.get()).find();
        } catch (RefusedException e) {
            return new Refused(e.refusal(), e.sentence());
        } catch (IllegalCallerException e) {
            // From whichever restricted method came first: System.load, or the linker that makes a memory file.
            return new Refused(
                    Refusal.NATIVE_ACCESS_DENIED,
                    "This JVM forbids native access to the bindings (" + e.getMessage() + "); start it with "
                            + NativeLibrary.nativeAccessOption() + ".");
        } catch (Throwable e) {
            // Even an Error: a static initializer that throws leaves every later caller a NoClassDefFoundError without
            // a reason.
            return new Refused(
                    Refusal.UNEXPECTED,
                    "Loading the native library failed with " + e
                            + "; please report it, and use the Java backend meanwhile.");
        }
    }

    /** Hands a library to the operating system. */
    interface Opener<T> {
        T open(Path path, LibraryImage image) throws RefusedException;
    }

    /** Opens another packaged library through a private file or a memory file, as this one's is loaded. */
    static <T> T openCopy(LibraryImage image, LoaderEnvironment environment, Opener<T> opener) throws RefusedException {
        LibraryLoader loader = new LibraryLoader(environment);
        return loader.openCopy(image, loader.extraction(), (path, of, _) -> opener.open(path, of));
    }

    private interface Linking<T> {
        T link(Path path, LibraryImage image, LoadMethod method) throws RefusedException;
    }

    private Loaded find() throws RefusedException {
        String classifier = environment.platform().classifier();
        Extraction extraction = extraction();
        String named = environment.property(NativeLibrary.LIBRARY_PROPERTY);
        if (named != null) {
            return loadNamed(NamedLibrary.find(named), extraction);
        }
        LibraryImage image =
                PackagedLibrary.find(classifier, environment.expected().get(classifier), environment.resources());
        return openCopy(image, extraction, this::link);
    }

    private Extraction extraction() throws RefusedException {
        String value = environment.property(NativeLibrary.EXTRACT_PROPERTY);
        if (value == null) {
            return Extraction.AUTO;
        }
        for (Extraction extraction : Extraction.values()) {
            if (extraction.name().toLowerCase(Locale.ROOT).equals(value)) {
                return extraction;
            }
        }
        throw new RefusedException(
                Refusal.INVALID_PROPERTY,
                "The system property " + NativeLibrary.EXTRACT_PROPERTY + " is \"" + value
                        + "\"; it must be auto, file or memfd.");
    }

    private Loaded loadNamed(Path path, Extraction extraction) throws RefusedException {
        LibraryImage image = NamedLibrary.read(path, environment.platform().machine());
        NamedLibrary.checkHash(image, environment.property(NativeLibrary.LIBRARY_SHA256_PROPERTY));
        try {
            return link(path, image, LoadMethod.IN_PLACE);
        } catch (RefusedException e) {
            if (e.refusal() != Refusal.OTHER_CLASS_LOADER) {
                throw e;
            }
            return loadCopyAfter(e, image, extraction);
        }
    }

    /** The JVM gives a file to one class loader only; a copy is another file, so it gets a life of its own. */
    private Loaded loadCopyAfter(RefusedException named, LibraryImage image, Extraction extraction)
            throws RefusedException {
        try {
            return openCopy(image, extraction, this::link);
        } catch (RefusedException copy) {
            throw new RefusedException(named.refusal(), named.sentence() + " " + copy.sentence());
        }
    }

    private <T> T openCopy(LibraryImage image, Extraction extraction, Linking<T> linking) throws RefusedException {
        return switch (extraction) {
            case FILE -> throughFile(image, linking);
            case MEMFD -> throughMemory(image, linking);
            case AUTO -> {
                try {
                    yield throughFile(image, linking);
                } catch (RefusedException file) {
                    yield throughMemoryAfter(file, image, linking);
                }
            }
        };
    }

    /** A directory may be read-only, full, noexec or guarded by a policy: memory helps against all of these. */
    private <T> T throughMemoryAfter(RefusedException file, LibraryImage image, Linking<T> linking)
            throws RefusedException {
        boolean memoryMayHelp = switch (file.refusal()) {
            case UNSAFE_DIRECTORY,
                    UNUSABLE_DIRECTORY,
                    NOEXEC_DIRECTORY,
                    TARGET_EXISTS,
                    NO_SPACE,
                    WRITE_FAILED,
                    LINK_FAILED -> true;
            default -> false;
        };
        if (!memoryMayHelp) {
            throw file;
        }
        try {
            return throughMemory(image, linking);
        } catch (RefusedException memory) {
            if (memory.refusal() == Refusal.MEMORY_FILE_UNAVAILABLE || memory.refusal() == Refusal.LINK_FAILED) {
                throw new RefusedException(file.refusal(), file.sentence() + " " + memory.sentence());
            }
            throw memory;
        }
    }

    private <T> T throughFile(LibraryImage image, Linking<T> linking) throws RefusedException {
        try (ExtractedLibrary extracted = ExtractedLibrary.write(environment.extractionDirectory(), image)) {
            return linking.link(extracted.file(), image, LoadMethod.EXTRACTED_FILE);
        }
    }

    private <T> T throughMemory(LibraryImage image, Linking<T> linking) throws RefusedException {
        return linking.link(SealedMemory.create(image), image, LoadMethod.SEALED_MEMORY);
    }

    private Loaded link(Path path, LibraryImage image, LoadMethod method) throws RefusedException {
        try {
            environment.linker().load(path.toString());
        } catch (UnsatisfiedLinkError e) {
            throw linkFailure(image, String.valueOf(e.getMessage()));
        }
        return new Loaded(image.origin(), image.sha256(), checkAbi(image), method);
    }

    private static RefusedException linkFailure(LibraryImage image, String message) {
        if (message.contains("already loaded in another classloader")) {
            return new RefusedException(
                    Refusal.OTHER_CLASS_LOADER,
                    "Another class loader of this JVM has loaded " + image.origin()
                            + " already; put the bindings into a class loader that both parts share.");
        }
        return new RefusedException(
                Refusal.LINK_FAILED,
                "The operating system does not load " + image.origin() + ": " + message
                        + "; if a symbol version such as GLIBC_2.17 is missing, this system is older than the library.");
    }

    private int checkAbi(LibraryImage image) throws RefusedException {
        int expected = gated_attention_h.GA_ABI_VERSION();
        OptionalInt version = environment.linker().abiVersion();
        if (version.isEmpty()) {
            throw new RefusedException(
                    Refusal.FOREIGN_LIBRARY,
                    image.origin()
                            + " exports no function ga_abi_version, so it is no gated attention library; name the"
                            + " libgatedattention.so of this version.");
        }
        int actual = version.getAsInt();
        if (actual != expected) {
            throw new RefusedException(
                    Refusal.ABI_MISMATCH,
                    image.origin() + " has the ABI version " + actual + ", " + (actual < expected ? "older" : "newer")
                            + " than the " + expected
                            + " of these bindings; use a library and bindings of the same release.");
        }
        return actual;
    }
}
