package io.github.gatedattention.train;

import io.github.gatedattention.cli.InputException;
import io.github.gatedattention.cli.Text;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;
import java.util.SplittableRandom;

/**
 * A text as bytes: nine tenths to learn from, the last tenth to check with. Batches depend on seed and step alone, so a run that
 * continues reads what an uninterrupted one would.
 *
 * @param name what to call it
 * @param bytes the text
 */
record Corpus(String name, byte[] bytes) {
    private static final int PARTS = 10; // one of them to check with

    /** The text that comes with the example. */
    static Corpus generated() {
        return new Corpus("generated", GeneratedText.bytes());
    }

    /** A file of any kind. */
    static Corpus of(Path file) {
        if (Files.exists(file) && !Files.isRegularFile(file)) {
            throw new InputException(Text.line("--text " + file + " cannot be read: it is no regular file"));
        }
        try {
            return new Corpus(Text.line(String.valueOf(file.getFileName())), Files.readAllBytes(file));
        } catch (IOException | OutOfMemoryError e) {
            throw new InputException(
                    Text.line("--text " + file + " cannot be read: "
                            + e.getClass().getSimpleName() + ": " + e.getMessage()),
                    e);
        }
    }

    /** Refuses a text that has too few bytes for sequences of this length. */
    void require(int context) {
        long needed = PARTS * (context + 2L);
        if (bytes.length < needed) {
            throw new InputException("--text " + name + " has " + bytes.length + " bytes, but --context " + context
                    + " needs at least " + needed);
        }
    }

    /** Sequences from random places of the part to learn from. */
    Batch training(TrainingSettings settings, int step) {
        var random = new SplittableRandom(settings.seed() * 0x9E3779B97F4A7C15L + step);
        int context = settings.shape().context();
        int[] starts = new int[settings.batch()];
        for (int b = 0; b < starts.length; b++) {
            starts[b] = random.nextInt(learned() - context);
        }
        return batch(starts, context);
    }

    /** Batch {@code number} of {@code count} that lie evenly in the part to check with. */
    Batch validation(TrainingSettings settings, int number, int count) {
        int context = settings.shape().context();
        int[] starts = new int[settings.batch()];
        long room = bytes.length - learned() - context - 1;
        for (int b = 0; b < starts.length; b++) {
            long place = (long) number * starts.length + b;
            starts[b] = learned() + (int) (room * place / ((long) count * starts.length));
        }
        return batch(starts, context);
    }

    /** What identifies the text. */
    String sha256() {
        try {
            return HexFormat.of().formatHex(MessageDigest.getInstance("SHA-256").digest(bytes));
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every Java has SHA-256", e);
        }
    }

    /** The loss of a model that knows how frequent each byte is, and nothing else, in nats. */
    double entropyOfBytes() {
        int[] counts = new int[ModelShape.BYTES];
        for (byte b : bytes) {
            counts[Byte.toUnsignedInt(b)]++;
        }
        double entropy = 0;
        for (int count : counts) {
            double share = count / (double) bytes.length;
            entropy -= count == 0 ? 0 : share * Math.log(share);
        }
        return entropy;
    }

    private int learned() {
        return bytes.length - bytes.length / PARTS;
    }

    private Batch batch(int[] starts, int context) {
        int[] inputs = new int[starts.length * context];
        int[] targets = new int[inputs.length];
        for (int b = 0; b < starts.length; b++) {
            for (int s = 0; s < context; s++) {
                inputs[b * context + s] = Byte.toUnsignedInt(bytes[starts[b] + s]);
                targets[b * context + s] = Byte.toUnsignedInt(bytes[starts[b] + s + 1]);
            }
        }
        return new Batch(inputs, targets);
    }
}
