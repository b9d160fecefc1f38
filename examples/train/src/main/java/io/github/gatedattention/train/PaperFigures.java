package io.github.gatedattention.train;

/**
 * What the paper reports of a gate (arXiv 2505.06708, tables 1 and 4): a mixture of experts of 15B weights, 2.5B of them active, after
 * 400B tokens.
 *
 * @param row of the paper's tables
 * @param perplexity on its text
 * @param firstToken F-Attn
 * @param gate the mean of the gate; NaN without one
 * @param largest M-Act
 */
record PaperFigures(String row, double perplexity, double firstToken, double gate, double largest) {
    static PaperFigures of(GateKind gate) {
        return switch (gate) {
            case NONE -> new PaperFigures("baseline", 6.026, 0.467, Double.NaN, 1053);
            case HEADWISE -> new PaperFigures("T1.10", 5.792, 0.073, 0.172, 98);
            case ELEMENTWISE -> new PaperFigures("T1.5", 5.761, 0.048, 0.116, 94);
            case NS_SIGMOID -> new PaperFigures("T4.7", 5.900, 0.451, 0.653, 892);
            case INPUT_INDEPENDENT -> new PaperFigures("T4.6", 5.917, 0.364, 0.335, 471);
        };
    }
}
