package io.github.gatedattention.bench;

import io.github.gatedattention.bench.peers.Implementation;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/** Which implementations work on this machine, and why the others do not. */
final class Peers {
    private static final int SECONDS = 120;

    private Peers() {}

    /** The reason for each implementation that is absent; those that work are not in the map. */
    static Map<Implementation, String> absent(Launch launch) throws IOException, InterruptedException {
        Map<Implementation, String> absent = new EnumMap<>(Implementation.class);
        for (Implementation implementation : Implementation.inBenchmarks()) {
            String reason = probe(implementation, launch);
            if (!reason.isEmpty()) {
                absent.put(implementation, reason);
            }
        }
        return absent;
    }

    /** Empty when the implementation works. */
    private static String probe(Implementation implementation, Launch launch) throws IOException, InterruptedException {
        Path output = Files.createTempFile("probe", ".txt");
        try {
            List<String> command = new ArrayList<>(launch.javaCommand());
            command.add(PeerProbe.class.getName());
            command.add(implementation.name());
            Process process = new ProcessBuilder(command)
                    .redirectErrorStream(true)
                    .redirectOutput(output.toFile())
                    .start();
            if (!process.waitFor(SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly();
                return "no result within " + SECONDS + " s";
            }
            int code = process.exitValue();
            if (code == 0) {
                return "";
            }
            List<String> lines = Files.readAllLines(output);
            return code == 1 && !lines.isEmpty() ? lines.getLast() : "its JVM died with exit code " + code;
        } finally {
            Files.deleteIfExists(output);
        }
    }
}
