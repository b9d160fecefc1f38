package io.github.gatedattention.cli.replay;

import io.github.gatedattention.cli.InputException;
import io.github.gatedattention.cli.Paths;
import io.github.gatedattention.cli.Text;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Collection;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/** Which file each case's result goes to: {@code DIR/<case name>.safetensors}, never twice the same and never a case itself. */
final class ReplayTargets {
    private static final String SUFFIX = ".safetensors";

    private ReplayTargets() {}

    /** The result's file per case, in the order given. */
    static Map<Path, Path> of(Path directory, List<String> cases) {
        var byTarget = new LinkedHashMap<Path, Path>();
        for (String text : cases) {
            Path file = Paths.parse("case", text);
            Path before = byTarget.put(directory.resolve(name(file) + SUFFIX), file);
            if (before != null) {
                throw new InputException(Text.line(
                        file + ": has the same name as " + before + ", both results would be " + name(file) + SUFFIX));
            }
        }
        var targets = new LinkedHashMap<Path, Path>();
        byTarget.forEach((target, file) -> {
            requireOther(target, byTarget.values());
            targets.put(file, target);
        });
        return targets;
    }

    /** Makes the directory for the results. */
    static void create(Path directory) {
        try {
            Files.createDirectories(directory);
        } catch (IOException e) {
            String reason = Files.exists(directory)
                    ? "it is no directory"
                    : e.getClass().getSimpleName() + ", " + e.getMessage();
            throw new InputException(Text.line("--out " + directory + " cannot be made: " + reason), e);
        }
    }

    private static String name(Path file) {
        Path last = file.getFileName();
        String name = last == null ? "" : last.toString();
        return name.endsWith(SUFFIX) ? name.substring(0, name.length() - SUFFIX.length()) : name;
    }

    private static void requireOther(Path target, Collection<Path> cases) {
        for (Path file : cases) {
            try {
                if (Files.exists(target) && Files.exists(file) && Files.isSameFile(target, file)) {
                    throw new InputException(Text.line(file + ": would be overwritten by the result " + target
                            + ", give --out another directory"));
                }
            } catch (IOException e) {
                throw new InputException(
                        Text.line(file + ": cannot be compared with " + target + ": " + e.getMessage()), e);
            }
        }
    }
}
