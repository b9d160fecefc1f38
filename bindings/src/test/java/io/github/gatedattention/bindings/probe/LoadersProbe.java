package io.github.gatedattention.bindings.probe;

import io.github.gatedattention.bindings.NativeLibrary;
import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.io.File;
import java.net.MalformedURLException;
import java.net.URL;
import java.net.URLClassLoader;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Loads the bindings in two class loaders that do not know of each other, as two web applications would. */
public final class LoadersProbe {

    private LoadersProbe() {}

    public static void main(String[] arguments) throws Exception {
        URL[] classPath = urls(arguments[0]);
        try (URLClassLoader first = new URLClassLoader(classPath, ClassLoader.getPlatformClassLoader());
                URLClassLoader second = new URLClassLoader(classPath, ClassLoader.getPlatformClassLoader())) {
            show("first.", first);
            show("second.", second);
        }
    }

    /** The entries of a class path as a class loader wants them. */
    static URL[] urls(String classPath) throws MalformedURLException {
        List<URL> urls = new ArrayList<>();
        for (String entry : classPath.split(File.pathSeparator)) {
            urls.add(Path.of(entry).toUri().toURL());
        }
        return urls.toArray(URL[]::new);
    }

    private static void show(String prefix, ClassLoader loader) throws ReflectiveOperationException {
        loader.loadClass(Reporter.class.getName())
                .getMethod("report", String.class)
                .invoke(null, prefix);
    }

    /** Runs inside each loader. */
    public static final class Reporter {

        private Reporter() {}

        public static void report(String prefix) {
            StateProbe.print(prefix, NativeLibrary.state());
            // Calls through jextract's classes, so that each loader's own copy must answer.
            System.out.println(prefix + "called=" + gated_attention_h.ga_abi_version());
        }
    }
}
