package io.github.gatedattention.bench.sidebyside;

/** The questions that a report answers, in its order. */
enum Section {
    /** Many queries at once: bound by arithmetic. */
    PREFILL("Prefill", "Over the length of the sequence, head_dim and the type."),
    /** One query per sequence: bound by memory or caches. */
    DECODE("Decode", "One query per sequence, over the keys in the cache and over the batch."),
    /** The same attention without a gate, with a score per head and with one per element. */
    GATE("What the gate costs", "The same attention with each gate; compare the rows of one implementation."),
    /** The same call with one thread and with more. */
    THREADS("Scaling over threads", "The same call with more threads."),
    /** Caches and batches as serving programs have them. */
    SERVING(
            "Serving",
            "Decode and a chunk of a prompt on caches of other types and on pages, and prompts of 8 sequences of 7 to 512 tokens: packed, or padded to the"
                    + " longest by those who cannot pack."),
    /** The result and its gradients. */
    TRAINING(
            "Training",
            "A step: the result, and the gradients of q, k, v and gate from one of it; error is that of the worst gradient. This"
                    + " library keeps the result and the log-sum-exp from forward to backward, PyTorch has autograd record its"
                    + " attention and its separate gate. A step counts as 3.5 forward passes."),
    /** The smallest problem there is. */
    CALL("What a call costs", "One head, one query, one key, D 8, one thread: the call is most of the time.");

    private final String title;
    private final String explanation;

    Section(String title, String explanation) {
        this.title = title;
        this.explanation = explanation;
    }

    String title() {
        return title;
    }

    String explanation() {
        return explanation;
    }
}
