package io.github.gatedattention.cli.doctor;

import io.github.gatedattention.bindings.NativeLibrary;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.util.Optional;
import java.util.jar.JarFile;

/**
 * Whether the JVM lets the bindings make native calls, and who allowed it.
 *
 * @param granted whether it was allowed explicitly
 * @param how where the permission comes from, or what to do about its absence
 */
record NativeAccess(boolean granted, String how) {
    /** To be asked before the library is loaded: the first native call of a module that nobody allowed it counts as a permission. */
    static NativeAccess current() {
        boolean granted = NativeLibrary.isNativeAccessEnabled();
        if (!granted) {
            String policy = argument("--illegal-native-access").orElse("--illegal-native-access=warn, the default");
            return new NativeAccess(
                    false, "start java with " + NativeLibrary.nativeAccessOption() + " (" + policy + ")");
        }
        return new NativeAccess(
                true,
                argument("--enable-native-access")
                        .map(option -> "by the option " + option)
                        .or(NativeAccess::manifest)
                        .orElse("by the program that started this one"));
    }

    private static Optional<String> argument(String name) {
        return ManagementFactory.getRuntimeMXBean().getInputArguments().stream()
                .filter(argument -> argument.startsWith(name + "="))
                .findFirst();
    }

    /** {@code java -jar} honors an attribute of the JAR's manifest; the class path is then that JAR alone. */
    private static Optional<String> manifest() {
        String jar = System.getProperty("java.class.path", "");
        if (!jar.endsWith(".jar")) {
            return Optional.empty();
        }
        try (var file = new JarFile(jar)) {
            return Optional.ofNullable(file.getManifest())
                    .map(manifest -> manifest.getMainAttributes().getValue("Enable-Native-Access"))
                    .map(value -> "by the manifest of " + jar + " (Enable-Native-Access: " + value + ")");
        } catch (IOException severalJars) {
            return Optional.empty();
        }
    }
}
