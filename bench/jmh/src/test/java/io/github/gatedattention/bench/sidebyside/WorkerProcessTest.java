package io.github.gatedattention.bench.sidebyside;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.bench.Workload;
import io.github.gatedattention.bench.peers.Implementation;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class WorkerProcessTest {
    private static final Implementation JAVA = Implementation.PLAIN_JAVA_F32;

    @TempDir
    private Path directory;

    private WorkerProcess start(List<String> arguments) throws Exception {
        List<String> command = new ArrayList<>();
        command.add(Path.of(System.getProperty("java.home"), "bin", "java").toString());
        command.add("-Dgatedattention.bench.cache=" + directory);
        command.add("-Dgatedattention.bench.threads=1");
        command.addAll(List.of("-cp", System.getProperty("java.class.path")));
        command.addAll(arguments);
        return new WorkerProcess(command, Map.of(), directory.resolve("worker.log"));
    }

    @Test
    void opensTakesTurnsAndCloses() throws Exception {
        try (WorkerProcess worker = start(List.of(Worker.class.getName()))) {
            assertThat(worker.ask(new Protocol.Turn(JAVA, Workload.CALL, 1, 1, 1, 1)))
                    .isInstanceOfSatisfying(
                            Protocol.Refused.class, r -> assertThat(r.reason()).endsWith("is not open"));
            assertThat(worker.ask(new Protocol.Open(JAVA, Workload.CALL)))
                    .isInstanceOfSatisfying(Protocol.Opened.class, opened -> {
                        assertThat(opened.error()).isBetween(0.0, 1e-6);
                        assertThat(opened.nanos()).isPositive();
                    });
            assertThat(worker.ask(new Protocol.Turn(JAVA, Workload.CALL, 1, 5, 3, 1000)))
                    .isInstanceOfSatisfying(Protocol.Timed.class, timed -> {
                        assertThat(timed.calls()).isGreaterThanOrEqualTo(3);
                        assertThat(timed.nanos()).isPositive();
                    });
            assertThat(worker.ask(new Protocol.Open(JAVA, Workload.DECODE_4096_HEADWISE)))
                    .isEqualTo(new Protocol.Refused(
                            "UnsupportedOperationException: this baseline knows the element-wise gate only"));
            assertThat(worker.ask(new Protocol.Close(JAVA, Workload.CALL))).isEqualTo(new Protocol.Closed());
            assertThat(worker.isAlive()).isTrue();
        }
    }

    @Test
    void aDeadWorkerRefusesWithItsExitCode() throws Exception {
        try (WorkerProcess worker = start(List.of("no.such.Main"))) {
            Protocol.Refused refused = new Protocol.Refused("its JVM died with exit code 1, see worker.log");
            assertThat(worker.ask(new Protocol.Open(JAVA, Workload.CALL))).isEqualTo(refused);
            assertThat(worker.ask(new Protocol.Close(JAVA, Workload.CALL))).isEqualTo(refused);
            assertThat(Files.readString(directory.resolve("worker.log"))).contains("no.such.Main");
        }
    }

    @Test
    void theStateOfAThreadFollowsItsName() {
        assertThat(Quiet.isRunning("12 (java) R 1 2 3")).isTrue();
        assertThat(Quiet.isRunning("12 (C2 (R) R) S 1 2 3")).isFalse();
        assertThat(Quiet.isRunning("")).isFalse();
    }

    @Test
    void limitsAnswerWithANumberOrNone() {
        assertThat(LimitsProcess.parse("{\"limit\": \"fma_f32 2\", \"giga_per_second\": 473.90}"))
                .isEqualTo(473.9);
        assertThat(LimitsProcess.parse("{\"error\": \"not understood\"}")).isZero();
        assertThat(LimitsProcess.parse(null)).isZero();
    }
}
