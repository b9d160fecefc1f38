package io.github.gatedattention.train;

import io.github.gatedattention.Activation;
import io.github.gatedattention.Gate;
import io.github.gatedattention.cli.InputException;
import io.github.gatedattention.cli.Text;
import java.util.Arrays;
import java.util.Locale;
import java.util.stream.Collectors;

/** The gates of the paper that the example trains, all at the attention output. */
public enum GateKind {
    /** A score per element of the output, from the token: the paper's best. */
    ELEMENTWISE(Gate.elementwise(Activation.SIGMOID)),
    /** A score per head, from the token. */
    HEADWISE(Gate.headwise(Activation.SIGMOID)),
    /** The baseline. */
    NONE(Gate.none()),
    /** Element-wise, but {@code 0.5 + 0.5 sigmoid}: it cannot close. */
    NS_SIGMOID(Gate.elementwise(Activation.NS_SIGMOID)),
    /** A learned score per element of every head, the same for all tokens: it cannot depend on the query. */
    INPUT_INDEPENDENT(Gate.elementwise(Activation.SIGMOID));

    private final Gate gate;

    GateKind(Gate gate) {
        this.gate = gate;
    }

    /** The kind that is written so on the command line. */
    static GateKind parse(String what, String text) {
        return Arrays.stream(values())
                .filter(kind -> kind.label().equals(text))
                .findFirst()
                .orElseThrow(() -> new InputException(what + " is " + Text.quote(text) + ", allowed are "
                        + Arrays.stream(values()).map(GateKind::label).collect(Collectors.joining(", "))));
    }

    /** As users write it: {@code ns-sigmoid}. */
    String label() {
        return name().toLowerCase(Locale.ROOT).replace('_', '-');
    }

    /** The operator's setting. */
    Gate gate() {
        return gate;
    }

    /** How many scores the query projection makes for each head, beside its query. */
    int scoresPerHead(int headDim) {
        return switch (this) {
            case ELEMENTWISE, NS_SIGMOID -> headDim;
            case HEADWISE -> 1;
            case NONE, INPUT_INDEPENDENT -> 0;
        };
    }
}
