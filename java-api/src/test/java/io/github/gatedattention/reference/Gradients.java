package io.github.gatedattention.reference;

import java.util.Arrays;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * The gradients of a call's inputs, or a number for each of their elements.
 *
 * @param q {@code [B, Sq, Hq, D]}
 * @param k {@code [B, Sk, Hkv, D]}
 * @param v {@code [B, Sk, Hkv, Dv]}
 * @param gate in the shape of the gate's scores; null where there is no gate; likewise the others
 * @param normWeight in the shape of the norm's weight
 * @param sink in the shape of the sink
 */
public record Gradients(
        DoubleTensor q,
        DoubleTensor k,
        DoubleTensor v,
        @Nullable DoubleTensor gate,
        @Nullable DoubleTensor normWeight,
        @Nullable DoubleTensor sink) {

    /** The names of the tensors, in order. */
    public static final List<String> NAMES = List.of("dQ", "dK", "dV", "dGate", "dNormWeight", "dSink");

    static Gradients zeros(
            DoubleTensor q,
            DoubleTensor k,
            DoubleTensor v,
            @Nullable DoubleTensor gate,
            @Nullable DoubleTensor normWeight,
            @Nullable DoubleTensor sink) {
        return new Gradients(zeros(q), zeros(k), zeros(v), zeros(gate), zeros(normWeight), zeros(sink));
    }

    private static @Nullable DoubleTensor zeros(@Nullable DoubleTensor like) {
        return like == null ? null : DoubleTensor.zeros(like.shape());
    }

    /** The tensors in the order of {@link #NAMES}. */
    public List<@Nullable DoubleTensor> all() {
        return Arrays.asList(q, k, v, gate, normWeight, sink);
    }
}
