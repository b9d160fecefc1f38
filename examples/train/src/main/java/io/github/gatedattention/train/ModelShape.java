package io.github.gatedattention.train;

import io.github.gatedattention.cli.InputException;

/**
 * The size of a model.
 *
 * @param gate the attention's gate
 * @param vocabulary how many tokens there are, V; 256 for bytes
 * @param layers how many blocks
 * @param width of the hidden states, d
 * @param queryHeads Hq
 * @param keyValueHeads Hkv
 * @param headDim D
 * @param mlpWidth of the hidden layer of an MLP
 * @param context tokens per sequence, S
 * @param tied whether the head's weight is that of the embedding
 */
public record ModelShape(
        GateKind gate,
        int vocabulary,
        int layers,
        int width,
        int queryHeads,
        int keyValueHeads,
        int headDim,
        int mlpWidth,
        int context,
        boolean tied) {
    /** One token per byte. */
    static final int BYTES = 256;

    private static final int MOST_LAYERS = 64;
    private static final int MOST_WIDTH = 4096;
    private static final int MOST_HEADS = 64;
    private static final int MOST_HEAD_DIM = 512;
    private static final int MOST_CONTEXT = 65536;

    /** Checks all numbers; the sentences name the options of the command line. */
    public ModelShape {
        range("--layers", layers, 1, MOST_LAYERS, 1);
        range("--width", width, 8, MOST_WIDTH, 8);
        range("--heads", queryHeads, 1, MOST_HEADS, 1);
        range("--kv-heads", keyValueHeads, 1, MOST_HEADS, 1);
        range("--head-dim", headDim, 8, MOST_HEAD_DIM, 8);
        range("--context", context, 2, MOST_CONTEXT, 1);
        if (queryHeads % keyValueHeads != 0) {
            throw new InputException(
                    "--heads is " + queryHeads + ", but must be a multiple of --kv-heads, " + keyValueHeads);
        }
    }

    /**
     * A model of bytes whose MLPs make up for what the gate adds, as the paper does: all kinds of gate have about as many weights.
     */
    static ModelShape ofBytes(
            GateKind gate,
            int layers,
            int width,
            int queryHeads,
            int keyValueHeads,
            int headDim,
            int context,
            boolean tied) {
        int scores = queryHeads * gate.scoresPerHead(headDim);
        // Three matrices of [mlpWidth, width] against one of [scores, width].
        int mlpWidth = Math.max(8, Math.round((8f * width - scores) / 24) * 8);
        return new ModelShape(gate, BYTES, layers, width, queryHeads, keyValueHeads, headDim, mlpWidth, context, tied);
    }

    /** Rows of the query projection that belong to one head: its query, then its scores. */
    int packedDim() {
        return headDim + gate.scoresPerHead(headDim);
    }

    /** Columns of the output projection. */
    int attentionWidth() {
        return queryHeads * headDim;
    }

    private static void range(String what, int value, int least, int most, int step) {
        if (value < least || value > most || value % step != 0) {
            String multiple = step == 1 ? "" : "a multiple of " + step + " from ";
            throw new InputException(what + " is " + value + ", but must be " + multiple + least + " to " + most);
        }
    }
}
