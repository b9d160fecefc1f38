package io.github.gatedattention.bindings;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.util.Map;
import java.util.Properties;
import java.util.function.Function;
import java.util.stream.Collectors;
import org.jspecify.annotations.Nullable;

/**
 * Everything outside that loading depends on.
 *
 * @param properties the system properties
 * @param platform what this JVM runs on
 * @param expected per classifier, the SHA-256 of the library that belongs to these bindings
 * @param resources where packaged libraries are
 * @param mounts the mounted file systems
 * @param linker the operating system's loader
 */
record LoaderEnvironment(
        Function<String, @Nullable String> properties,
        Platform platform,
        Map<String, String> expected,
        LibraryResources resources,
        MountTable mounts,
        DynamicLinker linker) {

    static LoaderEnvironment ofThisJvm() {
        return new LoaderEnvironment(
                System::getProperty,
                Platform.ofThisJvm(),
                expectedLibraries(),
                LibraryResources.ofThisJvm(),
                MountTable.ofThisProcess(),
                DynamicLinker.ofThisJvm());
    }

    /** A property's value, or null when it is absent or empty. */
    @Nullable
    String property(String name) {
        String value = properties.apply(name);
        return value == null || value.isEmpty() ? null : value;
    }

    ExtractionDirectory extractionDirectory() {
        String setting = property(NativeLibrary.DIRECTORY_PROPERTY);
        if (setting == null) {
            setting = property("java.io.tmpdir");
        }
        return ExtractionDirectory.inspect(setting == null ? "/tmp" : setting, mounts);
    }

    /** The build of the native JARs wrote their hashes, the build of this module packed them. */
    private static Map<String, String> expectedLibraries() {
        Properties properties = new Properties();
        try (InputStream stream = LoaderEnvironment.class.getResourceAsStream("natives.properties")) {
            if (stream != null) {
                properties.load(stream);
            }
        } catch (IOException e) {
            throw new UncheckedIOException("Cannot read natives.properties of the bindings", e);
        }
        return properties.stringPropertyNames().stream()
                .collect(Collectors.toMap(Function.identity(), properties::getProperty));
    }
}
