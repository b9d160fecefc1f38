package io.github.gatedattention.bench.sidebyside;

import io.github.gatedattention.bench.Launch;
import io.github.gatedattention.bench.peers.Host;
import java.io.File;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/** The JVMs of a report, started when they are first needed. */
final class Workers implements AutoCloseable {
    private final Path bench;
    private final boolean avx512;
    private final Map<Key, WorkerProcess> running = new LinkedHashMap<>();

    private record Key(Host host, int threads) {}

    /**
     * None yet.
     *
     * @param bench the directory bench/
     * @param avx512 whether the machine has AVX-512
     */
    Workers(Path bench, boolean avx512) {
        this.bench = bench;
        this.avx512 = avx512;
    }

    /** The worker that serves the entry; empty when its class path was not built. */
    Optional<WorkerProcess> serving(Entry entry) throws IOException {
        var key = new Key(entry.implementation().host(), entry.threads());
        WorkerProcess present = running.get(key);
        if (present != null && present.isAlive()) {
            return Optional.of(present);
        }
        Optional<String> classPath = classPath(key.host());
        if (classPath.isEmpty()) {
            return Optional.empty();
        }
        var launch = new Launch(key.threads(), bench.resolve("jmh/target/expected"));
        List<String> command =
                new ArrayList<>(launch.javaCommand(key.host().jvmOptions(key.threads(), avx512), classPath.get()));
        command.add(Worker.class.getName());
        String log = key.host().name().toLowerCase(Locale.ROOT) + "-" + key.threads() + ".log";
        var worker = new WorkerProcess(
                command,
                key.host().environment(key.threads(), avx512),
                bench.resolve("jmh/target/workers").resolve(log));
        running.put(key, worker);
        return Optional.of(worker);
    }

    /** Why there is no worker. */
    String absence(Host host) {
        return "bench/" + host.module() + " could not be built, see .ga/bench-" + host.module() + ".log";
    }

    private Optional<String> classPath(Host host) throws IOException {
        if (host.module().isEmpty()) {
            return Optional.of(System.getProperty("java.class.path"));
        }
        Path target = bench.resolve(host.module()).resolve("target");
        List<String> jars = new ArrayList<>();
        for (Path directory : List.of(target, target.resolve("lib"))) {
            if (!Files.isDirectory(directory)) {
                return Optional.empty();
            }
            List<String> here = new ArrayList<>();
            try (DirectoryStream<Path> files = Files.newDirectoryStream(directory, "*.jar")) {
                files.forEach(file -> here.add(file.toString()));
            }
            Collections.sort(here); // the same class path every time
            jars.addAll(here);
        }
        return jars.isEmpty() ? Optional.empty() : Optional.of(String.join(File.pathSeparator, jars));
    }

    /** Ends those that shall not outlive a comparison, and those for another number of threads than the usual one. */
    void endComparison(int usualThreads) {
        running.entrySet().removeIf(entry -> {
            boolean ends = entry.getKey().host().fresh() || entry.getKey().threads() != usualThreads;
            if (ends) {
                entry.getValue().close();
            }
            return ends;
        });
    }

    @Override
    public void close() {
        running.values().forEach(WorkerProcess::close);
    }
}
