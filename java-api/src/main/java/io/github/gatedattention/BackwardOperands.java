package io.github.gatedattention;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * The tensors of one {@link GatedAttention#backward}: those of the forward call, the gradient of its result, and where the
 * gradients of its inputs go. Each of these is optional, and what is not asked for is not computed.
 *
 * <p>B, Sq, Sk, Hq, Hkv, D and Dv are as in {@link Operands}. The last axis of every tensor but the log-sum-exp is contiguous.
 * A gradient has the shape of its input, where an input shared along an axis has 1 element on it: its gradient is the sum over
 * that axis, whether an extent of 1 or a stride of 0 says that it is shared.
 *
 * @param forward the forward call's tensors as they are after it: q, k, v, gate, normWeight, sink and sequences unchanged, its
 *     result in {@code out}, which must lie apart from q and gate, and its log-sum-exp in {@code lse}, which must be there
 * @param dOut the gradient of {@code out}, {@code [B, Sq, Hq, Dv]}, of the attention's data type
 * @param ungated Y, {@code [B, Sq, Hq, Dv]}, of the attention's data type or F32: what a forward call without a gate, and without
 *     a step on Y, writes as out; null: not kept. It spares the {@code cpu} backend the work of computing Y once more where out
 *     does not tell it: with a step on Y, with {@link Combination#ADD}, and with {@link Activation#SILU}, {@link
 *     Activation#IDENTITY} or {@link Activation#TANH}. The {@code java} backend always computes it
 * @param dQ receives the gradient of q, {@code [B, Sq, Hq, D]}, of the attention's data type or F32; null: not wanted
 * @param dK receives the gradient of k, {@code [B, Sk, Hkv, D]}, likewise
 * @param dV receives the gradient of v, {@code [B, Sk, Hkv, Dv]}, likewise
 * @param dGate receives the gradient of the gate's scores, in the gate's shape, of its type or F32; null: not wanted
 * @param dNormWeight receives the gradient of normWeight, in its shape, of its type or F32; null: not wanted
 * @param dSink receives the gradient of the sink, in its shape, of its type or F32; null: not wanted
 */
public record BackwardOperands(
        Operands forward,
        Tensor dOut,
        @Nullable Tensor ungated,
        @Nullable Tensor dQ,
        @Nullable Tensor dK,
        @Nullable Tensor dV,
        @Nullable Tensor dGate,
        @Nullable Tensor dNormWeight,
        @Nullable Tensor dSink) {

    /** The numbers of some tensors of the forward call. */
    static final int OUT = 4;

    static final int NORM_WEIGHT = 5;
    static final int SINK = 7;

    /** The number of the first tensor that is written; all before and those of the sequences are read. */
    static final int FIRST_GRADIENT = 10;

    /** The number of the first tensor of the sequences. */
    static final int FIRST_OF_SEQUENCES = 16;

    /** How many tensors there are, those of the sequences included. */
    static final int TENSORS = FIRST_OF_SEQUENCES + Sequences.TENSORS;

    /**
     * Checks that the tensors every call needs are there.
     *
     * @throws NullPointerException when forward or dOut is null
     */
    public BackwardOperands {
        Objects.requireNonNull(forward, "forward is null");
        Objects.requireNonNull(dOut, "dOut is null");
    }

    /**
     * The tensors to start with; at least one gradient is to be added.
     *
     * @param forward the forward call's tensors, with its result and its log-sum-exp
     * @param dOut the gradient of its result
     * @return operands that ask for no gradient yet
     */
    public static BackwardOperands of(Operands forward, Tensor dOut) {
        return new BackwardOperands(forward, dOut, null, null, null, null, null, null, null);
    }

    /**
     * The usual tensors.
     *
     * @param forward the forward call's tensors, with its result and its log-sum-exp
     * @param dOut the gradient of its result
     * @param dQ receives the gradient of q
     * @param dK receives the gradient of k
     * @param dV receives the gradient of v
     * @param dGate receives the gradient of the gate's scores, or null where there is no gate
     * @return operands that ask for these gradients
     */
    public static BackwardOperands of(
            Operands forward, Tensor dOut, Tensor dQ, Tensor dK, Tensor dV, @Nullable Tensor dGate) {
        return new BackwardOperands(forward, dOut, null, dQ, dK, dV, dGate, null, null);
    }

    /**
     * These operands with the attention output before the step on it and the gate.
     *
     * @param y {@code [B, Sq, Hq, Dv]}, or null for none
     * @return the changed operands
     */
    public BackwardOperands withUngated(@Nullable Tensor y) {
        return new BackwardOperands(forward, dOut, y, dQ, dK, dV, dGate, dNormWeight, dSink);
    }

    /**
     * These operands with a place for the gradient of q.
     *
     * @param gradient {@code [B, Sq, Hq, D]}, or null for none
     * @return the changed operands
     */
    public BackwardOperands withDQ(@Nullable Tensor gradient) {
        return new BackwardOperands(forward, dOut, ungated, gradient, dK, dV, dGate, dNormWeight, dSink);
    }

    /**
     * These operands with a place for the gradient of k.
     *
     * @param gradient {@code [B, Sk, Hkv, D]}, or null for none
     * @return the changed operands
     */
    public BackwardOperands withDK(@Nullable Tensor gradient) {
        return new BackwardOperands(forward, dOut, ungated, dQ, gradient, dV, dGate, dNormWeight, dSink);
    }

    /**
     * These operands with a place for the gradient of v.
     *
     * @param gradient {@code [B, Sk, Hkv, Dv]}, or null for none
     * @return the changed operands
     */
    public BackwardOperands withDV(@Nullable Tensor gradient) {
        return new BackwardOperands(forward, dOut, ungated, dQ, dK, gradient, dGate, dNormWeight, dSink);
    }

    /**
     * These operands with a place for the gradient of the gate's scores.
     *
     * @param gradient in the gate's shape, or null for none
     * @return the changed operands
     */
    public BackwardOperands withDGate(@Nullable Tensor gradient) {
        return new BackwardOperands(forward, dOut, ungated, dQ, dK, dV, gradient, dNormWeight, dSink);
    }

    /**
     * These operands with a place for the gradient of the RMSNorm's weight.
     *
     * @param gradient in the weight's shape, or null for none
     * @return the changed operands
     */
    public BackwardOperands withDNormWeight(@Nullable Tensor gradient) {
        return new BackwardOperands(forward, dOut, ungated, dQ, dK, dV, dGate, gradient, dSink);
    }

    /**
     * These operands with a place for the gradient of the sink.
     *
     * @param gradient in the sink's shape, or null for none
     * @return the changed operands
     */
    public BackwardOperands withDSink(@Nullable Tensor gradient) {
        return new BackwardOperands(forward, dOut, ungated, dQ, dK, dV, dGate, dNormWeight, gradient);
    }

    /** These operands with other sequences of the forward call. */
    BackwardOperands withSequences(@Nullable Sequences sequences) {
        return new BackwardOperands(
                forward.withSequences(sequences), dOut, ungated, dQ, dK, dV, dGate, dNormWeight, dSink);
    }

    /** The tensors by number, for what is done with each of them alike. */
    @Nullable
    Tensor tensor(int n) {
        return switch (n) {
            case 0 -> forward.q();
            case 1 -> forward.k();
            case 2 -> forward.v();
            case 3 -> forward.gate();
            case 4 -> forward.out();
            case 5 -> forward.normWeight();
            case 6 -> forward.lse();
            case 7 -> forward.sink();
            case 8 -> dOut;
            case 9 -> ungated;
            case 10 -> dQ;
            case 11 -> dK;
            case 12 -> dV;
            case 13 -> dGate;
            case 14 -> dNormWeight;
            case 15 -> dSink;
            default -> {
                Sequences sequences = forward.sequences();
                yield sequences == null ? null : sequences.tensor(n - FIRST_OF_SEQUENCES);
            }
        };
    }

    static String name(int n) {
        return switch (n) {
            case 0 -> "q";
            case 1 -> "k";
            case 2 -> "v";
            case 3 -> "gate";
            case 4 -> "out";
            case 5 -> "normWeight";
            case 6 -> "lse";
            case 7 -> "sink";
            case 8 -> "dOut";
            case 9 -> "ungated";
            case 10 -> "dQ";
            case 11 -> "dK";
            case 12 -> "dV";
            case 13 -> "dGate";
            case 14 -> "dNormWeight";
            case 15 -> "dSink";
            default -> Sequences.name(n - FIRST_OF_SEQUENCES);
        };
    }
}
