package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** One {@link AttentionEpilogue} on one backend. Safe from any thread; checks nothing but that it is open. */
sealed interface EpilogueEngine extends AutoCloseable permits NativeEpilogue, JavaEpilogue {

    void run(Tensor in, @Nullable Tensor gate, @Nullable Tensor residual, Tensor out);

    void backward(Tensor in, @Nullable Tensor gate, Tensor dOut, @Nullable Tensor dIn, @Nullable Tensor dGate);

    /** Refuses later calls; closing twice is closing once. */
    @Override
    void close();

    static IllegalStateException closed() {
        return new IllegalStateException("this AttentionEpilogue is closed; build another one");
    }
}
