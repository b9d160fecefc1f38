package io.github.gatedattention.bench;

import io.github.gatedattention.bench.peers.Host;
import java.io.File;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * How the JVMs of a run are started.
 *
 * <p>OpenBLAS and OpenMP read the environment when they are loaded, and a JVM cannot change its own: so the launcher
 * starts itself once more with the right one, which JMH's forks inherit.
 *
 * @param threads how many threads every implementation may use
 * @param cache where float64 results are kept
 */
public record Launch(int threads, Path cache) {
    private static final String TUNED = "GATED_ATTENTION_BENCH_TUNED";

    /** What peers are told through the environment: JMH's forks hold any of them, so it is the same for all. */
    Map<String, String> environment(boolean avx512) {
        return Host.PYTORCH_F32.environment(threads, avx512);
    }

    static boolean isTuned() {
        return System.getenv(TUNED) != null;
    }

    /** Runs the given main class again in the environment above; returns its exit code. */
    int again(Class<?> main, String[] arguments, boolean avx512) throws IOException, InterruptedException {
        List<String> command = new ArrayList<>(javaCommand());
        command.add(main.getName());
        command.addAll(List.of(arguments));
        ProcessBuilder builder = new ProcessBuilder(command).inheritIO();
        builder.environment().putAll(environment(avx512));
        builder.environment().put(TUNED, "1");
        return builder.start().waitFor();
    }

    /** java, this JVM's own options, the class path and the properties of {@link Run}. */
    List<String> javaCommand() {
        return javaCommand(List.of(), System.getProperty("java.class.path"));
    }

    /**
     * {@return the same with further options and another class path}
     *
     * @param options for the JVM
     * @param classPath in place of this JVM's own
     */
    public List<String> javaCommand(List<String> options, String classPath) {
        List<String> command = new ArrayList<>();
        command.add(System.getProperty("java.home") + File.separator + "bin" + File.separator + "java");
        command.addAll(ManagementFactory.getRuntimeMXBean().getInputArguments());
        command.addAll(properties());
        command.addAll(options);
        command.add("-cp");
        command.add(classPath);
        return command;
    }

    /** The properties of {@link Run} as JVM options. */
    List<String> properties() {
        return List.of("-D" + Run.THREADS + "=" + threads, "-D" + Run.CACHE + "=" + cache);
    }
}
