package io.github.gatedattention.bindings;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Mounts a small file system that only one child process sees, which needs neither root nor cleaning up. */
final class MountNamespace {

    private MountNamespace() {}

    /** The command that mounts a tmpfs with these options on the directory and then runs what follows. */
    static List<String> tmpfs(Path directory, String options) {
        return List.of(
                "unshare",
                "--user",
                "--map-root-user",
                "--mount",
                "sh",
                "-c",
                "mount -t tmpfs -o \"$0\" tmpfs \"$1\" && shift && exec \"$@\"",
                options,
                directory.toString());
    }

    /** Why such mounts cannot be made here, or an empty string when they can. */
    static String problem(Path directory) throws InterruptedException {
        List<String> command = new ArrayList<>(tmpfs(directory, "size=8k"));
        command.add("true");
        try {
            Process process =
                    new ProcessBuilder(command).redirectErrorStream(true).start();
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            return process.waitFor() == 0 ? "" : "This machine allows no mount namespaces: " + output;
        } catch (IOException noSuchProgram) {
            return "This machine has no unshare: " + noSuchProgram.getMessage();
        }
    }
}
