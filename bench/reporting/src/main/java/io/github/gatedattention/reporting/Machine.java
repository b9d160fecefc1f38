package io.github.gatedattention.reporting;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Locale;

/**
 * The machine that measured.
 *
 * @param name the processor as the kernel names it
 * @param avx512 whether it has AVX-512
 */
public record Machine(String name, boolean avx512) {
    private static final Path CPU_INFO = Path.of("/proc/cpuinfo");

    /** {@return this machine} */
    public static Machine current() throws IOException {
        List<String> lines = Files.isReadable(CPU_INFO) ? Files.readAllLines(CPU_INFO) : List.of();
        return of(lines, System.getProperty("os.arch"), Runtime.getRuntime().availableProcessors());
    }

    static Machine of(List<String> cpuInfo, String architecture, int processors) {
        StringBuilder name = new StringBuilder(first(cpuInfo, "model name"));
        if (name.isEmpty()) { // arm64: implementer and part say which core it is
            name.append(architecture);
            append(name, "implementer", first(cpuInfo, "CPU implementer"));
            append(name, "part", first(cpuInfo, "CPU part"));
        } else { // a virtual machine may hide the model in the name, but not in the numbers
            append(name, "family", first(cpuInfo, "cpu family"));
            append(name, "model", first(cpuInfo, "model"));
        }
        boolean avx512 = List.of(first(cpuInfo, "flags").split(" ")).contains("avx512f");
        return new Machine(name + ", " + processors + (processors == 1 ? " processor" : " processors"), avx512);
    }

    private static void append(StringBuilder name, String label, String value) {
        if (!value.isEmpty()) {
            name.append(", ").append(label).append(' ').append(value);
        }
    }

    private static String first(List<String> cpuInfo, String key) {
        for (String line : cpuInfo) {
            int colon = line.indexOf(':');
            if (colon > 0 && line.substring(0, colon).strip().equals(key)) {
                return line.substring(colon + 1).strip();
            }
        }
        return "";
    }

    /** {@return the name as a directory} */
    public String slug() {
        return name.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]+", "-").replaceAll("^-|-$", "");
    }
}
