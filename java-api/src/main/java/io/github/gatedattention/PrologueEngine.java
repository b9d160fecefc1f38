package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** One {@link AttentionPrologue} on one backend. Safe from any thread; checks nothing but that it is open. */
sealed interface PrologueEngine extends AutoCloseable permits NativePrologue, JavaPrologue {

    /**
     * Computes.
     *
     * @param cache where k and v go instead of their outs, or null
     */
    void run(PrologueOperands operands, @Nullable CacheSlots cache);

    void backward(PrologueOperands operands, PrologueGradients gradients);

    /** Refuses later calls; closing twice is closing once. */
    @Override
    void close();

    static IllegalStateException closed() {
        return new IllegalStateException("this AttentionPrologue is closed; build another one");
    }
}
