package io.github.gatedattention.bindings;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.SymbolLookup;
import java.nio.file.Files;
import java.nio.file.Path;
import org.jspecify.annotations.Nullable;

/**
 * The library of the CUDA kernels: found and opened at the first question, which only a CUDA backend asks. Without that
 * nothing is read, written or loaded.
 *
 * <p>It comes from the file that the system property {@value #LIBRARY_PROPERTY} names, else from the JAR {@code
 * gated-attention-native} with the classifier {@value #CLASSIFIER}, in the same way and with the same checks as {@link
 * NativeLibrary}; else from the folder of a library that {@value NativeLibrary#LIBRARY_PROPERTY} names.
 */
public final class CudaLibrary {

    /** System property: the path of a library to open instead of the packaged one. */
    public static final String LIBRARY_PROPERTY = "gatedattention.cuda.library";

    /** The classifier of the JAR that packs the library. */
    public static final String CLASSIFIER = "linux-x86_64-cuda13";

    private static final String FILE_NAME = "libgatedattention_cuda.so";

    private CudaLibrary() {}

    /** What became of the library. */
    public sealed interface State permits Opened, Missing {}

    /**
     * It is open and stays so.
     *
     * @param origin the file or JAR resource that it came from
     * @param path by which the system's loader knows it: what {@code ga_runtime_options.cuda_library} must be
     */
    public record Opened(String origin, String path) implements State {}

    /**
     * It is not open.
     *
     * @param refusal the kind of reason
     * @param message one sentence: what was found, what was expected, what to do
     */
    public record Missing(Refusal refusal, String message) implements State {}

    /**
     * Opens the library at the first call; later calls return the same object. Safe from any thread.
     *
     * @return what became of the library
     */
    public static State state() {
        return Holder.STATE;
    }

    private static final class Holder {
        static final State STATE = find();
    }

    private static State find() {
        try {
            if (NativeLibrary.state() instanceof NativeLibrary.Refused refused) {
                return new Missing(refused.refusal(), refused.message());
            }
            return open(LoaderEnvironment.ofThisJvm());
        } catch (RefusedException e) {
            return new Missing(e.refusal(), e.sentence());
        } catch (Throwable e) {
            // As in LibraryLoader: later callers would otherwise get an error without a reason.
            return new Missing(
                    Refusal.UNEXPECTED,
                    "Opening the library of the CUDA kernels failed with " + e + "; please report it.");
        }
    }

    private static State open(LoaderEnvironment environment) throws RefusedException {
        String named = environment.property(LIBRARY_PROPERTY);
        if (named != null) {
            return openInPlace(LIBRARY_PROPERTY, NamedLibrary.find(LIBRARY_PROPERTY, named), environment);
        }
        LibraryImage image;
        try {
            if (!environment.platform().classifier().equals("linux-x86_64")) {
                throw new RefusedException(
                        Refusal.UNSUPPORTED_PLATFORM,
                        "There are CUDA kernels for Linux on x86-64 alone; use the CPU backend.");
            }
            image = PackagedLibrary.find(CLASSIFIER, environment.expected().get(CLASSIFIER), environment.resources());
        } catch (RefusedException packaged) {
            Path beside = besideTheOther(environment);
            if (packaged.refusal() == Refusal.NOT_PACKAGED && beside != null) {
                return openInPlace(NativeLibrary.LIBRARY_PROPERTY, beside, environment);
            }
            throw packaged;
        }
        return LibraryLoader.openCopy(image, environment, CudaLibrary::open);
    }

    private static State openInPlace(String property, Path path, LoaderEnvironment environment)
            throws RefusedException {
        LibraryImage image =
                NamedLibrary.read(property, path, environment.platform().machine());
        return open(path, image);
    }

    /** Where a build puts it: in the folder of a library that was named. */
    private static @Nullable Path besideTheOther(LoaderEnvironment environment) {
        String named = environment.property(NativeLibrary.LIBRARY_PROPERTY);
        if (named == null) {
            return null;
        }
        Path beside = Path.of(named).toAbsolutePath().resolveSibling(FILE_NAME);
        return Files.isRegularFile(beside) ? beside : null;
    }

    /**
     * Opens a file for good. The dynamic linker finds an open library by the path that it was opened with, so the file may be
     * deleted then, and {@code ga_runtime_create} still gets it by that path. As a string: the JDK resolves a {@code Path} first, and
     * that of a memory file leads nowhere.
     */
    private static State open(Path path, LibraryImage image) throws RefusedException {
        try {
            SymbolLookup library = SymbolLookup.libraryLookup(path.toString(), Arena.global());
            if (library.find("ga_cuda_backend").isEmpty()) {
                throw new RefusedException(
                        Refusal.FOREIGN_LIBRARY,
                        image.origin() + " exports no function ga_cuda_backend; name the " + FILE_NAME
                                + " of this version.");
            }
            return new Opened(image.origin(), path.toString());
        } catch (IllegalArgumentException e) {
            throw new RefusedException(
                    Refusal.LINK_FAILED,
                    "The operating system does not load " + image.origin() + " (" + e.getMessage()
                            + "); it needs glibc 2.34 or later.");
        }
    }

    /**
     * Memory that native code gave: a segment that lives as long as the arena, and is freed with it.
     *
     * @param address where it is
     * @param bytes how large it is
     * @param arena whose close ends it
     * @param free runs when the arena is closed
     * @return the segment
     */
    public static MemorySegment memory(long address, long bytes, Arena arena, Runnable free) {
        return MemorySegment.ofAddress(address).reinterpret(bytes, arena, ignored -> free.run());
    }
}
