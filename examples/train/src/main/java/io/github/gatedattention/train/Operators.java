package io.github.gatedattention.train;

import io.github.gatedattention.Activation;
import io.github.gatedattention.AttentionEpilogue;
import io.github.gatedattention.AttentionPrologue;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Mask;
import io.github.gatedattention.Rope;

/**
 * What the library computes for every block of a model: instances hold settings, not tensors, so one of each serves all layers.
 *
 * @param prologue q/k norm and RoPE
 * @param attention gated attention
 * @param swiglu {@code up * silu(gate)}: the arithmetic of a gate on the output projection, which fits an MLP's hidden layer too
 */
record Operators(AttentionPrologue prologue, GatedAttention attention, AttentionEpilogue swiglu)
        implements AutoCloseable {
    private static final double ROPE_THETA = 10_000;

    static Operators of(ModelShape shape) {
        return new Operators(
                AttentionPrologue.builder()
                        .queryHeads(shape.queryHeads())
                        .keyValueHeads(shape.keyValueHeads())
                        .headDim(shape.headDim())
                        .norm(RmsNorm.EPS)
                        .rope(Rope.of(shape.headDim(), ROPE_THETA), shape.context())
                        .build(),
                GatedAttention.builder()
                        .queryHeads(shape.queryHeads())
                        .keyValueHeads(shape.keyValueHeads())
                        .headDim(shape.headDim())
                        .gate(shape.gate().gate())
                        .mask(Mask.causal())
                        .build(),
                AttentionEpilogue.builder()
                        .width(shape.mlpWidth())
                        .gate(Activation.SILU)
                        .build());
    }

    @Override
    public void close() {
        prologue.close();
        attention.close();
        swiglu.close();
    }
}
