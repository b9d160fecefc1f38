package io.github.gatedattention.bench;

/** What multiplies the attention output. */
public enum Gating {
    /** Nothing: plain attention. */
    NONE("no gate"),
    /** {@code sigmoid(G)} with a score per query and head, [B, Sq, Hq, 1]. */
    HEADWISE("head-wise"),
    /** {@code sigmoid(G)} with a score per element, [B, Sq, Hq, D]. */
    ELEMENTWISE("element-wise");

    private final String title;

    Gating(String title) {
        this.title = title;
    }

    /** {@return its name in tables and pictures} */
    public String title() {
        return title;
    }
}
