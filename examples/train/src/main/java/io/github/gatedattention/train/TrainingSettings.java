package io.github.gatedattention.train;

import io.github.gatedattention.cli.InputException;
import io.github.gatedattention.cli.Text;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.function.Function;

/**
 * All that decides the bits of a run, but for its text.
 *
 * @param shape of the model
 * @param batch sequences per step, B
 * @param steps how many there are
 * @param learningRate the highest
 * @param warmup steps in which the learning rate rises to it; it then falls along a cosine to a tenth of it
 * @param weightDecay what matrices lose per step, times the learning rate
 * @param clip the largest norm of the gradient
 * @param seed of weights and batches
 */
record TrainingSettings(
        ModelShape shape,
        int batch,
        int steps,
        double learningRate,
        int warmup,
        double weightDecay,
        double clip,
        long seed) {
    private static final int MOST_BATCH = 4096;
    private static final int MOST_TOKENS = 1 << 20;
    private static final int MOST_STEPS = 100_000_000;
    private static final double LAST_SHARE = 0.1;

    TrainingSettings {
        whole("--batch", batch, 1, MOST_BATCH);
        whole("--batch times --context", batch * shape.context(), 2, MOST_TOKENS);
        whole("--steps", steps, 1, MOST_STEPS);
        whole("--warmup", warmup, 0, MOST_STEPS);
        real("--learning-rate", learningRate, learningRate > 0, "above 0");
        real("--weight-decay", weightDecay, weightDecay >= 0, "at least 0");
        real("--clip", clip, clip > 0, "above 0");
    }

    /** The learning rate of a step from 1 to {@link #steps}: a line up, then half a cosine down. */
    double learningRate(int step) {
        if (step <= warmup) {
            return learningRate * step / warmup;
        }
        double progress = (step - warmup) / (double) Math.max(1, steps - warmup);
        return learningRate * (LAST_SHARE + (1 - LAST_SHARE) * 0.5 * (1 + Math.cos(Math.PI * progress)));
    }

    /** Tokens that a step learns from. */
    int tokensPerStep() {
        return batch * shape.context();
    }

    /** As a checkpoint's metadata. */
    Map<String, String> toMetadata() {
        Map<String, String> map = new LinkedHashMap<>();
        map.put("gate", shape.gate().label());
        map.put("vocabulary", Integer.toString(shape.vocabulary()));
        map.put("layers", Integer.toString(shape.layers()));
        map.put("width", Integer.toString(shape.width()));
        map.put("heads", Integer.toString(shape.queryHeads()));
        map.put("kv_heads", Integer.toString(shape.keyValueHeads()));
        map.put("head_dim", Integer.toString(shape.headDim()));
        map.put("mlp_width", Integer.toString(shape.mlpWidth()));
        map.put("context", Integer.toString(shape.context()));
        map.put("tied", Boolean.toString(shape.tied()));
        map.put("batch", Integer.toString(batch));
        map.put("steps", Integer.toString(steps));
        map.put("learning_rate", Double.toString(learningRate));
        map.put("warmup", Integer.toString(warmup));
        map.put("weight_decay", Double.toString(weightDecay));
        map.put("clip", Double.toString(clip));
        map.put("seed", Long.toString(seed));
        return map;
    }

    /**
     * What {@link #toMetadata} gave.
     *
     * @throws InputException when a value is missing or is no number
     */
    static TrainingSettings ofMetadata(Map<String, String> map) {
        return new TrainingSettings(
                new ModelShape(
                        GateKind.parse("metadata gate", text(map, "gate")),
                        whole(map, "vocabulary"),
                        whole(map, "layers"),
                        whole(map, "width"),
                        whole(map, "heads"),
                        whole(map, "kv_heads"),
                        whole(map, "head_dim"),
                        whole(map, "mlp_width"),
                        whole(map, "context"),
                        Boolean.parseBoolean(text(map, "tied"))),
                whole(map, "batch"),
                whole(map, "steps"),
                real(map, "learning_rate"),
                whole(map, "warmup"),
                real(map, "weight_decay"),
                real(map, "clip"),
                number(map, "seed", Long::parseLong));
    }

    static int whole(Map<String, String> map, String key) {
        return number(map, key, Integer::parseInt);
    }

    private static double real(Map<String, String> map, String key) {
        return number(map, key, Double::parseDouble);
    }

    private static <N> N number(Map<String, String> map, String key, Function<String, N> parse) {
        String text = text(map, key);
        try {
            return parse.apply(text);
        } catch (NumberFormatException e) {
            throw new InputException("metadata " + key + " is " + Text.quote(text) + ", but must be a number", e);
        }
    }

    static String text(Map<String, String> map, String key) {
        String text = map.get(key);
        if (text == null) {
            throw new InputException("metadata " + key + " is missing, so this is no checkpoint of ga train");
        }
        return text;
    }

    private static void whole(String what, int value, int least, int most) {
        if (value < least || value > most) {
            throw new InputException(what + " is " + value + ", but must be " + least + " to " + most);
        }
    }

    private static void real(String what, double value, boolean right, String range) {
        if (!right || !Double.isFinite(value)) {
            throw new InputException(what + " is " + value + ", but must be finite and " + range);
        }
    }
}
