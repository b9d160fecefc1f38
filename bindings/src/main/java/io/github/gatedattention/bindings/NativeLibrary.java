package io.github.gatedattention.bindings;

/**
 * The native library of this JVM: loaded at the first question, once per class loader, and never with an exception.
 *
 * <p>The library comes from the file that the system property {@value #LIBRARY_PROPERTY} names, else from the JAR
 * {@code gated-attention-native} of this platform. Where neither will do, {@link #state()} is {@link Refused} and says
 * why and what to do.
 */
public final class NativeLibrary {

    /** System property: the path of a library to load instead of the packaged one. */
    public static final String LIBRARY_PROPERTY = "gatedattention.library";

    /** System property: the SHA-256 that the file named by {@value #LIBRARY_PROPERTY} must have; unset: any. */
    public static final String LIBRARY_SHA256_PROPERTY = "gatedattention.library.sha256";

    /** System property: the directory below which the packaged library is written; else {@code java.io.tmpdir}. */
    public static final String DIRECTORY_PROPERTY = "gatedattention.tmpdir";

    /** System property: how the packaged library is loaded: {@code auto} (the default), {@code file} or {@code memfd}. */
    public static final String EXTRACT_PROPERTY = "gatedattention.extract";

    private NativeLibrary() {}

    /** What became of the native library. */
    public sealed interface State {

        /**
         * Says it in one sentence.
         *
         * @return a sentence for a person
         */
        String describe();
    }

    /**
     * The library is loaded and speaks the ABI version of these bindings.
     *
     * @param origin the file or JAR resource that it came from
     * @param sha256 the SHA-256 of its bytes, in lower-case hexadecimal
     * @param abiVersion what its {@code ga_abi_version()} returned
     * @param method how its bytes were handed to the operating system
     */
    public record Loaded(String origin, String sha256, int abiVersion, LoadMethod method) implements State {

        @Override
        public String describe() {
            return "loaded from " + origin + " " + method.description() + " (SHA-256 " + sha256 + ", ABI version "
                    + abiVersion + ")";
        }
    }

    /**
     * The library is not loaded and stays so for the life of this class loader.
     *
     * @param refusal the kind of reason
     * @param message one sentence: what was found, what was expected, what to do
     */
    public record Refused(Refusal refusal, String message) implements State {

        @Override
        public String describe() {
            return message;
        }
    }

    /**
     * Loads the library at the first call; later calls return the same object. Safe from any thread.
     *
     * @return what became of the library
     */
    public static State state() {
        return Holder.STATE;
    }

    /**
     * Tells whether functions of the library may be called; loads it at the first call.
     *
     * @return true when {@link #state()} is {@link Loaded}
     */
    public static boolean isLoaded() {
        return state() instanceof Loaded;
    }

    /**
     * Looks at the directory below which the packaged library would be written; changes nothing.
     *
     * @return the directory and whether it will do
     */
    public static ExtractionDirectory extractionDirectory() {
        return LoaderEnvironment.ofThisJvm().extractionDirectory();
    }

    /**
     * Tells whether the JVM was told to let this module make native calls. Without that, JDK 25 prints a warning at the
     * first one, and refuses it under {@code --illegal-native-access=deny}.
     *
     * @return true when native access was granted
     */
    public static boolean isNativeAccessEnabled() {
        return NativeLibrary.class.getModule().isNativeAccessEnabled();
    }

    /**
     * The JVM option that grants native access to this module as it is deployed now.
     *
     * @return the option, for example {@code --enable-native-access=ALL-UNNAMED} on the class path
     */
    public static String nativeAccessOption() {
        Module module = NativeLibrary.class.getModule();
        return "--enable-native-access=" + (module.isNamed() ? module.getName() : "ALL-UNNAMED");
    }

    /** Initialized by the first {@link #state()}: the class loader's lock makes it happen once. */
    private static final class Holder {
        static final State STATE = LibraryLoader.load(LoaderEnvironment::ofThisJvm);
    }
}
