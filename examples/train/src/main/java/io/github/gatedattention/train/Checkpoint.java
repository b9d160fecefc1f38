package io.github.gatedattention.train;

import io.github.gatedattention.Tensor;
import io.github.gatedattention.cli.InputException;
import io.github.gatedattention.safetensors.SafetensorsException;
import io.github.gatedattention.safetensors.SafetensorsFile;
import io.github.gatedattention.safetensors.SafetensorsTensor;
import io.github.gatedattention.safetensors.SafetensorsType;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * A run as a safetensors file: {@code model.*} are the weights, {@code adam.first.*} and {@code adam.second.*} the optimizer's
 * moments; the settings, the step and the hash of the text are its metadata. Nothing else has a state, so a run continues bit for bit.
 */
final class Checkpoint {
    private static final String STEP = "step";
    private static final String TEXT = "text_sha256";

    private Checkpoint() {}

    /** Writes a file, all or nothing. */
    static void write(Path file, Trainer trainer) {
        Map<String, SafetensorsTensor> tensors = new LinkedHashMap<>();
        for (Map.Entry<String, Tensor> entry : tensors(trainer).entrySet()) {
            Tensor tensor = entry.getValue();
            tensors.put(
                    entry.getKey(),
                    new SafetensorsTensor(entry.getKey(), SafetensorsType.F32, tensor.shape(), tensor.segment()));
        }
        Map<String, String> metadata = trainer.settings().toMetadata();
        metadata.put(STEP, Integer.toString(trainer.step()));
        metadata.put(TEXT, trainer.corpus().sha256());
        try {
            SafetensorsFile.write(file, tensors, metadata);
        } catch (SafetensorsException e) {
            throw new InputException(String.valueOf(e.getMessage()), e);
        }
    }

    /** The run of a file, as it was when the file was written. */
    static Trainer read(Path file, Corpus corpus) {
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsFile content = SafetensorsFile.read(file, arena);
            return restore(content, corpus);
        } catch (SafetensorsException e) {
            throw new InputException(String.valueOf(e.getMessage()), e);
        } catch (InputException e) {
            throw new InputException(file + ": " + e.getMessage(), e);
        }
    }

    private static Trainer restore(SafetensorsFile content, Corpus corpus) {
        TrainingSettings settings = TrainingSettings.ofMetadata(content.metadata());
        int step = TrainingSettings.whole(content.metadata(), STEP);
        if (step < 0 || step > settings.steps()) {
            throw new InputException("metadata step is " + step + ", but must be 0 to " + settings.steps());
        }
        if (!TrainingSettings.text(content.metadata(), TEXT).equals(corpus.sha256())) {
            throw new InputException("the run learned from another text than " + corpus.name()
                    + ", give the same --text to continue it");
        }
        Trainer trainer = new Trainer(settings, corpus);
        try {
            Map<String, Tensor> wanted = tensors(trainer);
            wanted.forEach((name, tensor) -> copy(name, content.tensors().get(name), tensor));
            trainer.continueFrom(step);
            return trainer;
        } catch (InputException e) {
            trainer.close();
            throw e;
        }
    }

    private static void copy(String name, @Nullable SafetensorsTensor from, Tensor to) {
        if (from == null) {
            throw new InputException("tensor " + name + " is missing");
        }
        if (from.dtype() != SafetensorsType.F32 || !Arrays.equals(from.shape(), to.shape())) {
            throw new InputException("tensor " + name + " is " + from.dtype() + " " + Arrays.toString(from.shape())
                    + ", but must be F32 " + Arrays.toString(to.shape()));
        }
        to.segment().copyFrom(from.data());
    }

    private static Map<String, Tensor> tensors(Trainer trainer) {
        Map<String, Tensor> tensors = new LinkedHashMap<>();
        for (Parameter parameter : trainer.model().parameters()) {
            tensors.put("model." + parameter.name(), parameter.value());
            tensors.put("adam.first." + parameter.name(), parameter.first());
            tensors.put("adam.second." + parameter.name(), parameter.second());
        }
        return tensors;
    }
}
