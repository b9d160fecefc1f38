package io.github.gatedattention.bench.sidebyside;

import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.Files;
import java.nio.file.Path;

/**
 * Waits until a process has come to rest: thread pools spin for a while after their last call, some for 200 ms, and
 * would take a core from whoever has the next turn.
 */
final class Quiet {
    private static final int MOST_MILLIS = 500;
    private static final int LOOKS = 2; // in a row
    private static final Path PROC = Path.of("/proc");

    private Quiet() {}

    /** Whether no thread of the process runs any more; false when it still did after half a second. */
    static boolean await(long pid) throws InterruptedException {
        Path threads = PROC.resolve(Long.toString(pid)).resolve("task");
        if (!Files.isDirectory(threads)) {
            Thread.sleep(MOST_MILLIS / 10); // no Linux: most pools have stopped by then
            return true;
        }
        int quiet = 0;
        for (int waited = 0; waited < MOST_MILLIS; waited++) {
            quiet = anyRuns(threads) ? 0 : quiet + 1;
            if (quiet == LOOKS) {
                return true;
            }
            Thread.sleep(1);
        }
        return false;
    }

    private static boolean anyRuns(Path threads) {
        try (DirectoryStream<Path> all = Files.newDirectoryStream(threads)) {
            for (Path thread : all) {
                if (runs(thread.resolve("stat"))) {
                    return true;
                }
            }
            return false;
        } catch (IOException e) {
            return false; // the process is gone
        }
    }

    private static boolean runs(Path stat) {
        try {
            return isRunning(Files.readString(stat));
        } catch (IOException e) {
            return false; // the thread is gone
        }
    }

    /** The state is the letter after the name, which is in parentheses and may hold any character. */
    static boolean isRunning(String stat) {
        return stat.startsWith("R", stat.lastIndexOf(')') + 2);
    }
}
