package io.github.gatedattention.bindings;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Set;

/** Linux's list of mounted file systems and their options. */
final class MountTable {

    private static final Path MOUNTS = Path.of("/proc/self/mountinfo");

    private final List<String> lines;

    MountTable(List<String> lines) {
        this.lines = lines;
    }

    /** The mounts that this process sees; empty where there is no /proc. */
    static MountTable ofThisProcess() {
        try {
            return new MountTable(Files.readAllLines(MOUNTS, StandardCharsets.UTF_8));
        } catch (IOException absent) {
            return new MountTable(List.of());
        }
    }

    /** True when the file system that holds the path runs no programs and maps no code. */
    boolean isNoexec(Path realPath) {
        Path best = null;
        boolean noexec = false;
        for (String line : lines) {
            // "42 27 0:39 / /mount/point rw,noexec,relatime - tmpfs tmpfs rw"
            String[] fields = line.split(" ", 7);
            if (fields.length < 7) {
                continue;
            }
            Path mount = Path.of(unescape(fields[4]));
            // A later mount hides an earlier one on the same point.
            if (realPath.startsWith(mount) && (best == null || mount.getNameCount() >= best.getNameCount())) {
                best = mount;
                noexec = Set.of(fields[5].split(",")).contains("noexec");
            }
        }
        return noexec;
    }

    /** The kernel writes space, tab, newline and backslash as \040, \011, \012 and \134. */
    private static String unescape(String field) {
        return field.replace("\\040", " ")
                .replace("\\011", "\t")
                .replace("\\012", "\n")
                .replace("\\134", "\\");
    }
}
