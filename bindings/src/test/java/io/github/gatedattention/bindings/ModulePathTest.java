package io.github.gatedattention.bindings;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.bindings.probe.StateProbe;
import java.io.File;
import java.net.URI;
import java.net.URL;
import java.nio.file.Path;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** The bindings as a named module, with the library's JAR beside them on the module path, required by nobody. */
class ModulePathTest {

    private static final String MODULE = "io.github.gatedattention.bindings";

    @TempDir
    private Path directory;

    @Test
    void findsTheLibraryThatNoModuleRequires() throws Exception {
        ChildJvm.Result result =
                onModulePath().option("--enable-native-access=" + MODULE).run(StateProbe.class);
        LoadingInItsOwnJvmTest.assertLoaded(result, LoadMethod.EXTRACTED_FILE);
        assertThat(result.value("granted")).isEqualTo("true");
        assertThat(result.value("option")).isEqualTo("--enable-native-access=" + MODULE);
        assertThat(result.output()).doesNotContain("WARNING");
    }

    @Test
    void findsTheLibraryAmongTheResolvedModules() throws Exception {
        ChildJvm.Result result = onModulePath()
                .option("--add-modules=ALL-MODULE-PATH", "--enable-native-access=" + MODULE)
                .run(StateProbe.class);
        LoadingInItsOwnJvmTest.assertLoaded(result, LoadMethod.EXTRACTED_FILE);
    }

    @Test
    void namesTheModuleThatLacksNativeAccess() throws Exception {
        LoadingInItsOwnJvmTest.assertRefused(
                onModulePath().option("--illegal-native-access=deny").run(StateProbe.class),
                Refusal.NATIVE_ACCESS_DENIED,
                "start it with --enable-native-access=" + MODULE + ".");
    }

    private ChildJvm onModulePath() throws Exception {
        return ChildJvm.plain()
                .option("--module-path", location(NativeLibrary.class) + File.pathSeparator + nativeJar())
                .option("--add-modules=" + MODULE)
                .property(NativeLibrary.DIRECTORY_PROPERTY, directory)
                .classPath(List.of(location(StateProbe.class)));
    }

    private static Path location(Class<?> type) throws Exception {
        return Path.of(type.getProtectionDomain().getCodeSource().getLocation().toURI());
    }

    /** The JAR that holds the library: "jar:file:/path/native.jar!/io/..." without its ends. */
    private static Path nativeJar() throws Exception {
        URL resource = ModulePathTest.class.getClassLoader().getResource(Libraries.resource());
        assertThat(resource).as("the native JAR must be on the test class path").isNotNull();
        String text = resource.toString();
        assertThat(text).startsWith("jar:file:");
        return Path.of(URI.create(text.substring("jar:".length(), text.indexOf("!/"))));
    }
}
