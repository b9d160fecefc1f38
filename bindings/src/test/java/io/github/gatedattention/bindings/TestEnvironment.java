package io.github.gatedattention.bindings;

import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.OptionalInt;

/** Plays the outside world for a loader inside the test's own JVM: nothing is really loaded. */
final class TestEnvironment implements DynamicLinker {

    private final Map<String, String> properties = new HashMap<>();
    private final Map<String, String> expected = new HashMap<>();
    private final List<LibraryResources.Entry> resources = new ArrayList<>();
    private final List<String> loaded = new ArrayList<>();
    private List<String> mounts = List.of();
    private Platform platform = Platform.ofThisJvm();
    private Attempt attempt = path -> {};
    private OptionalInt abiVersion = OptionalInt.of(1);

    /** What happens when the library at the path is loaded. */
    interface Attempt {
        void load(String path);
    }

    TestEnvironment property(String name, Object value) {
        properties.put(name, value.toString());
        return this;
    }

    TestEnvironment platform(Platform value) {
        platform = value;
        return this;
    }

    /** A packaged library whose hash the bindings know. */
    TestEnvironment packaged(byte[] library) {
        expected.put(Libraries.classifier(), Sha256.of(library));
        return resource("a.jar!/lib.so", () -> library);
    }

    TestEnvironment expected(String classifier, String sha256) {
        expected.put(classifier, sha256);
        return this;
    }

    TestEnvironment resource(String location, LibraryResources.Source source) {
        resources.add(new LibraryResources.Entry(location, source));
        return this;
    }

    TestEnvironment mounts(String... lines) {
        mounts = List.of(lines);
        return this;
    }

    TestEnvironment onLoad(Attempt value) {
        attempt = value;
        return this;
    }

    TestEnvironment abiVersion(OptionalInt value) {
        abiVersion = value;
        return this;
    }

    /** The paths that the operating system's loader was given, in order. */
    List<String> loadedPaths() {
        return loaded;
    }

    NativeLibrary.State load() {
        return LibraryLoader.load(this::environment);
    }

    LoaderEnvironment environment() {
        return new LoaderEnvironment(
                properties::get, platform, expected, resource -> resources, new MountTable(mounts), this);
    }

    /** The refusal that loading must end with. */
    NativeLibrary.Refused refused() {
        if (load() instanceof NativeLibrary.Refused refused) {
            return refused;
        }
        throw new AssertionError("The library was loaded from " + loaded);
    }

    /** The success that loading must end with. */
    NativeLibrary.Loaded loaded() {
        return switch (load()) {
            case NativeLibrary.Loaded success -> success;
            case NativeLibrary.Refused refused -> throw new AssertionError(refused);
        };
    }

    @Override
    public void load(String absolutePath) {
        loaded.add(absolutePath);
        attempt.load(absolutePath);
    }

    @Override
    public OptionalInt abiVersion() {
        return abiVersion;
    }
}
