package io.github.gatedattention;

import java.util.concurrent.RejectedExecutionException;

/**
 * A call whose operands were checked once, to be run many times: {@link GatedAttention#prepare}.
 *
 * <p>The tensors are fixed, their contents are not: each run reads the inputs, the lengths of the sequences included, as they are then.
 * It keeps its tensors reachable. Runs of one prepared call write the same outputs, so run it in one thread at a time;
 * different prepared calls of one {@link GatedAttention} may run at the same time.
 */
public sealed interface PreparedForward permits Calls.Prepared, JavaEngine.Prepared, NativeEngine.Prepared {

    /**
     * Computes. Allocates nothing once warm, but on the {@code java} backend without {@code jdk.incubator.vector}, and
     * when the call is recorded or handed to the {@linkplain GatedAttention.Builder#executor executor}.
     *
     * @throws IllegalArgumentException when a length or page of a sequence is out of range
     * @throws IllegalStateException when the attention or the arena of a tensor is closed
     * @throws WrongThreadException when the arena of a tensor is confined to another thread
     * @throws GatedAttentionException when native code fails
     * @throws RejectedExecutionException when the {@linkplain GatedAttention.Builder#executor executor} refuses the call
     */
    void run();
}
