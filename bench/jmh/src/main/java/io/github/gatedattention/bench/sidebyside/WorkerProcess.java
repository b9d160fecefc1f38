package io.github.gatedattention.bench.sidebyside;

import java.io.BufferedReader;
import java.io.IOException;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** The coordinator's end of a {@link Worker}. */
final class WorkerProcess implements AutoCloseable {
    private static final int SECONDS = 300; // the slowest first call: plain Java over thousands of tokens
    private static final int EXIT_SECONDS = 10;

    private final Process process;
    private final Writer requests;
    private final Path log;
    private final BlockingQueue<Optional<Protocol.Answer>> answers = new LinkedBlockingQueue<>(); // empty: no more

    /**
     * Starts the JVM.
     *
     * @param command of the JVM, up to the main class
     * @param environment what is added to this process's
     * @param log receives what the libraries print
     */
    WorkerProcess(List<String> command, Map<String, String> environment, Path log) throws IOException {
        this.log = log;
        Files.createDirectories(log.toAbsolutePath().getParent());
        ProcessBuilder builder = new ProcessBuilder(command).redirectError(log.toFile());
        builder.environment().putAll(environment);
        process = builder.start();
        requests = process.outputWriter(StandardCharsets.UTF_8);
        Thread.ofPlatform().daemon().name("answers of " + process.pid()).start(this::readAnswers);
    }

    private void readAnswers() {
        try (BufferedReader lines = process.inputReader(StandardCharsets.UTF_8)) {
            lines.lines().map(Protocol::readAnswer).filter(Optional::isPresent).forEach(answers::add);
        } catch (IOException | RuntimeException e) {
            // as if it had ended: what follows cannot be understood
        }
        answers.add(Optional.empty());
    }

    /** Asks and waits until the answer is there and the process rests again. A dead worker refuses everything. */
    Protocol.Answer ask(Protocol.Request request) throws InterruptedException {
        try {
            requests.write(Protocol.write(request) + "\n");
            requests.flush();
        } catch (IOException e) {
            return death();
        }
        Optional<Protocol.Answer> answer = answers.poll(SECONDS, TimeUnit.SECONDS);
        if (answer == null) {
            process.destroyForcibly();
            return new Protocol.Refused("no answer within " + SECONDS + " s");
        }
        if (answer.isEmpty()) {
            return death();
        }
        Quiet.await(process.pid());
        return answer.get();
    }

    boolean isAlive() {
        return process.isAlive();
    }

    private Protocol.Refused death() throws InterruptedException {
        if (!process.waitFor(EXIT_SECONDS, TimeUnit.SECONDS)) {
            process.destroyForcibly();
            return new Protocol.Refused("its JVM closed its output, see " + log.getFileName());
        }
        return new Protocol.Refused(
                "its JVM died with exit code " + process.exitValue() + ", see " + log.getFileName());
    }

    @Override
    public void close() {
        try {
            requests.close();
            if (!process.waitFor(EXIT_SECONDS, TimeUnit.SECONDS)) {
                process.destroyForcibly();
            }
        } catch (IOException e) {
            process.destroyForcibly(); // it was dead before
        } catch (InterruptedException e) {
            process.destroyForcibly();
            Thread.currentThread().interrupt();
        }
    }
}
