package io.github.gatedattention.bindings;

import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.lang.module.FindException;
import java.lang.module.ModuleFinder;
import java.lang.module.ModuleReader;
import java.lang.module.ModuleReference;
import java.net.URL;
import java.net.URLConnection;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Optional;
import java.util.regex.Pattern;

/** Looks for resources of one name wherever this JVM's JARs are. */
interface LibraryResources {

    /**
     * A resource that was found.
     *
     * @param location where, for messages
     * @param bytes its content
     */
    record Entry(String location, Source bytes) {}

    /** Reads a resource whole. */
    interface Source {
        byte[] read() throws IOException;
    }

    List<Entry> find(String resource);

    /** The resources of this module's class loader, and those of JARs on the module path that no module requires. */
    static LibraryResources ofThisJvm() {
        return resource -> {
            List<Entry> found = new ArrayList<>(onClassLoader(LibraryResources.class.getClassLoader(), resource));
            if (found.isEmpty() && LibraryResources.class.getModule().isNamed()) {
                found.addAll(onModulePath(System.getProperty("jdk.module.path", ""), resource));
            }
            return found;
        };
    }

    /** Several JARs may hold the name, for example two versions of one: all of them, in class path order. */
    private static List<Entry> onClassLoader(ClassLoader loader, String resource) {
        List<Entry> found = new ArrayList<>();
        try {
            for (URL url : Collections.list(loader.getResources(resource))) {
                found.add(new Entry(url.toString(), () -> read(url)));
            }
        } catch (IOException unreadable) {
            return found;
        }
        return found;
    }

    private static byte[] read(URL url) throws IOException {
        URLConnection connection = url.openConnection();
        connection.setUseCaches(false); // else the JAR stays open for good
        try (InputStream stream = connection.getInputStream()) {
            return stream.readAllBytes();
        }
    }

    /**
     * A JAR on the module path takes part only when some module requires it, and nothing requires a JAR without code. So
     * it is looked up by the name that its manifest states.
     */
    static List<Entry> onModulePath(String modulePath, String resource) {
        Path[] entries = Pattern.compile(Pattern.quote(File.pathSeparator))
                .splitAsStream(modulePath)
                .filter(entry -> !entry.isEmpty())
                .map(Path::of)
                .toArray(Path[]::new);
        try {
            Optional<ModuleReference> module = ModuleFinder.of(entries).find(moduleName(resource));
            if (module.isEmpty()) {
                return List.of();
            }
            String location = module.get().location().map(Object::toString).orElse(moduleName(resource));
            return List.of(new Entry(location + "!/" + resource, () -> read(module.get(), resource)));
        } catch (FindException unreadable) {
            return List.of();
        }
    }

    /** io/github/gatedattention/native/linux-x86_64/... is in io.github.gatedattention.natives.linux_x86_64. */
    private static String moduleName(String resource) {
        String folder = resource.substring(0, resource.lastIndexOf('/'));
        String classifier = folder.substring(folder.lastIndexOf('/') + 1);
        return "io.github.gatedattention.natives." + classifier.replace('-', '_');
    }

    private static byte[] read(ModuleReference module, String resource) throws IOException {
        try (ModuleReader reader = module.open();
                InputStream stream = reader.open(resource)
                        .orElseThrow(() -> new IOException("the JAR has no resource " + resource))) {
            return stream.readAllBytes();
        }
    }
}
