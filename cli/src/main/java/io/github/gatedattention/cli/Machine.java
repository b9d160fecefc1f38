package io.github.gatedattention.cli;

import com.sun.management.OperatingSystemMXBean;
import java.io.IOException;
import java.lang.management.ManagementFactory;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Optional;
import java.util.stream.Stream;

/**
 * The machine a result was obtained on.
 *
 * @param processor the processor's own name
 * @param cores processors that this JVM may use
 * @param memoryBytes memory of the machine or container
 * @param system distribution, kernel, architecture
 * @param java version, vendor and name of the virtual machine
 */
public record Machine(String processor, int cores, long memoryBytes, String system, String java) {
    /** This machine. */
    public static Machine current() {
        var memory = (OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
        String distribution = field("/etc/os-release", "PRETTY_NAME=")
                .map(name -> name.replace("\"", "") + ", ")
                .orElse("");
        return new Machine(
                field("/proc/cpuinfo", "model name")
                        .or(Machine::armName)
                        .orElse(System.getProperty("os.arch") + " processor"),
                Runtime.getRuntime().availableProcessors(),
                memory.getTotalMemorySize(),
                distribution + System.getProperty("os.name") + " " + System.getProperty("os.version") + ", "
                        + System.getProperty("os.arch"),
                Runtime.version() + ", " + System.getProperty("java.vendor") + ", "
                        + System.getProperty("java.vm.name"));
    }

    /** Memory in GiB, for people. */
    public long memoryGib() {
        return Math.round(memoryBytes / (double) (1 << 30));
    }

    /** Arm processors have no name in /proc/cpuinfo, only the numbers of their designer and design. */
    private static Optional<String> armName() {
        return field("/proc/cpuinfo", "CPU implementer")
                .map(implementer -> "Arm, implementer " + implementer + ", part "
                        + field("/proc/cpuinfo", "CPU part").orElse("unknown"));
    }

    /** What follows {@code key} and an optional colon on the first line that begins with it. */
    private static Optional<String> field(String file, String key) {
        try (Stream<String> lines = Files.lines(Path.of(file))) {
            return lines.filter(line -> line.startsWith(key))
                    .map(line -> line.substring(key.length())
                            .replaceFirst("^\\s*:\\s*", "")
                            .strip())
                    .findFirst();
        } catch (IOException absent) {
            return Optional.empty(); // not Linux
        }
    }
}
