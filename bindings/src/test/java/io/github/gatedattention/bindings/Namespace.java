package io.github.gatedattention.bindings;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** Settings of the system that only one child process sees, which need neither root nor cleaning up. */
final class Namespace {

    private Namespace() {}

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

    /** The command that forbids executable memory files to what follows, as a hardened system does. */
    static List<String> withoutExecutableMemoryFiles() {
        return List.of(
                "unshare",
                "--user",
                "--map-root-user",
                "--pid",
                "--fork",
                "--mount",
                "--mount-proc",
                "sh",
                "-c",
                "echo 2 > /proc/sys/vm/memfd_noexec && exec \"$0\" \"$@\"");
    }

    /** Why such a command does not work here, or an empty string when it does. */
    static String problem(List<String> namespace) throws InterruptedException {
        List<String> command = new ArrayList<>(namespace);
        command.add("true");
        try {
            Process process =
                    new ProcessBuilder(command).redirectErrorStream(true).start();
            String output = new String(process.getInputStream().readAllBytes(), StandardCharsets.UTF_8);
            return process.waitFor() == 0 ? "" : "This machine does not allow this namespace: " + output;
        } catch (IOException noSuchProgram) {
            return "This machine has no unshare: " + noSuchProgram.getMessage();
        }
    }
}
