package io.github.gatedattention.cli.replay;

import io.github.gatedattention.Activation;
import io.github.gatedattention.Combination;
import io.github.gatedattention.Gate;
import io.github.gatedattention.Mask;
import io.github.gatedattention.cli.InputException;
import io.github.gatedattention.cli.Names;
import io.github.gatedattention.cli.Text;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.regex.Pattern;

/**
 * The metadata of a case, every key optional. Unknown keys and values are refused: a misspelled option that is silently ignored
 * makes a wrong result look like a defect.
 *
 * @param causal queries see no later keys
 * @param windowLeft keys before the diagonal that a query sees; -1: all
 * @param windowRight keys after it; -1: all
 * @param scale the factor on the scores, else 1 / sqrt(D)
 * @param softcap what the scores are capped to; 0: not
 * @param activation the function on the gate's scores
 * @param combination how the gate meets the attention output
 * @param pre what happens to the attention output first
 * @param normEps added to the mean square, with {@link Pre#RMS_NORM}
 * @param roundBeforeGate whether the attention output is rounded first
 */
record CaseSettings(
        boolean causal,
        long windowLeft,
        long windowRight,
        Optional<Float> scale,
        float softcap,
        Activation activation,
        Combination combination,
        Pre pre,
        float normEps,
        boolean roundBeforeGate) {
    /** What happens to the attention output before the gate. */
    enum Pre {
        NONE,
        RMS_NORM,
        SILU
    }

    private enum Flag {
        FALSE,
        TRUE
    }

    private static final List<String> KEYS = List.of(
            "causal",
            "window_left",
            "window_right",
            "scale",
            "softcap",
            "activation",
            "combination",
            "pre",
            "norm_eps",
            "round_before_gate");
    /** Those of a merge: the others acted when the partial results were made. */
    private static final List<String> MERGE_KEYS =
            List.of("type", "activation", "combination", "pre", "norm_eps", "round_before_gate");

    private static final float DEFAULT_NORM_EPS = 1e-6f;

    /** A decimal number as other languages print it; Java's own parser would also take {@code NaN}, {@code 1f} and {@code 0x1p3}. */
    private static final Pattern NUMBER = Pattern.compile("[+-]?(\\d+\\.?\\d*|\\.\\d+)([eE][+-]?\\d+)?");

    /** Reads metadata; its exceptions do not name the file. */
    static CaseSettings parse(Map<String, String> metadata) {
        checkKeys(metadata, "", KEYS);
        return settings(metadata);
    }

    /** Reads the metadata of a merge, but for the type. */
    static CaseSettings parseMerge(Map<String, String> metadata) {
        checkKeys(metadata, " of a merge", MERGE_KEYS);
        return settings(metadata);
    }

    private static void checkKeys(Map<String, String> metadata, String of, List<String> keys) {
        for (String key : metadata.keySet()) {
            if (!keys.contains(key)) {
                throw new InputException(
                        "unknown metadata key " + Text.quote(key) + of + ", allowed are " + String.join(", ", keys));
            }
        }
    }

    private static CaseSettings settings(Map<String, String> metadata) {
        return new CaseSettings(
                flag(metadata, "causal"),
                window(metadata, "window_left"),
                window(metadata, "window_right"),
                number(metadata, "scale"),
                atLeastZero(metadata, "softcap", 0),
                choice(metadata, "activation", Activation.SIGMOID),
                choice(metadata, "combination", Combination.MULTIPLY),
                choice(metadata, "pre", Pre.NONE),
                atLeastZero(metadata, "norm_eps", DEFAULT_NORM_EPS),
                flag(metadata, "round_before_gate"));
    }

    /** The mask that these settings say. */
    Mask mask() {
        Mask mask = causal ? Mask.causal() : Mask.none();
        return windowLeft == -1 && windowRight == -1 ? mask : mask.withWindow(windowLeft, windowRight);
    }

    /** The gate that these settings say, for scores whose last axis has {@code scoresPerHead} elements; 0: no scores. */
    Gate gate(long scoresPerHead) {
        Gate gate = scoresPerHead == 0
                ? Gate.none()
                : (scoresPerHead == 1 ? Gate.headwise(activation) : Gate.elementwise(activation))
                        .withCombination(combination);
        gate = switch (pre) {
            case NONE -> gate;
            case RMS_NORM -> gate.withRmsNorm(normEps);
            case SILU -> gate.withSilu();
        };
        return gate.withRoundBeforeGate(roundBeforeGate);
    }

    private static boolean flag(Map<String, String> metadata, String key) {
        return choice(metadata, key, Flag.FALSE) == Flag.TRUE;
    }

    private static <E extends Enum<E>> E choice(Map<String, String> metadata, String key, E otherwise) {
        String text = metadata.get(key);
        return text == null ? otherwise : Names.parse(otherwise.getDeclaringClass(), "metadata " + key, text);
    }

    private static long window(Map<String, String> metadata, String key) {
        String text = metadata.getOrDefault(key, "-1");
        try {
            if (text.matches("-?\\d+") && Long.parseLong(text) >= -1) {
                return Long.parseLong(text);
            }
        } catch (NumberFormatException tooLarge) {
            // refused below
        }
        throw new InputException("metadata " + key + " is " + Text.quote(text)
                + ", an integer of keys from 0 to 2^63-1 is expected," + " or -1 for no limit");
    }

    private static float atLeastZero(Map<String, String> metadata, String key, float otherwise) {
        float value = number(metadata, key).orElse(otherwise);
        if (value < 0) {
            throw new InputException("metadata " + key + " is " + value + ", a number of at least 0 is expected");
        }
        return value;
    }

    private static Optional<Float> number(Map<String, String> metadata, String key) {
        String text = metadata.get(key);
        if (text == null) {
            return Optional.empty();
        }
        float value = NUMBER.matcher(text).matches() ? Float.parseFloat(text) : Float.NaN;
        if (!Float.isFinite(value)) {
            throw new InputException(
                    "metadata " + key + " is " + Text.quote(text) + ", a finite decimal number is expected");
        }
        return Optional.of(value);
    }
}
