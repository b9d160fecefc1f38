package io.github.gatedattention.golden;

import io.github.gatedattention.reference.DoubleTensor;
import java.util.ArrayList;
import java.util.List;

/** A Qwen3-Next of full-attention layers and dense MLPs, in float64 but for attention, which the caller does. */
final class TinyModel {
    /** Gated attention of layer {@code index} on these operands: {@code [B, S, Hq, D]}. */
    interface Attention {
        DoubleTensor apply(int index, AttentionLayer.Projected operands);
    }

    private static final double NORM_EPS = 1e-6;

    private final GoldenFile file;
    private final int hidden;
    private final List<AttentionLayer> layers = new ArrayList<>();

    TinyModel(GoldenFile file) {
        this.file = file;
        hidden = file.shape("model.norm.weight")[0];
        while (file.has(prefix(layers.size()) + "self_attn.q_proj.weight")) {
            layers.add(AttentionLayer.qwen3Next(file, prefix(layers.size()) + "self_attn."));
        }
    }

    private static String prefix(int layer) {
        return "model.layers." + layer + ".";
    }

    int layers() {
        return layers.size();
    }

    /** Logits {@code [B, S, vocabulary]} of token ids {@code [B, S]}. */
    double[] logits(double[] ids, int batch, int sequence, Attention attention) {
        double[] embedding = file.values("model.embed_tokens.weight");
        double[] x = new double[ids.length * hidden];
        for (int n = 0; n < ids.length; n++) {
            System.arraycopy(embedding, (int) ids[n] * hidden, x, n * hidden, hidden);
        }
        for (int index = 0; index < layers.size(); index++) {
            String prefix = prefix(index);
            AttentionLayer layer = layers.get(index);
            double[] normed = normed(x, prefix + "input_layernorm.weight");
            DoubleTensor gated = attention.apply(index, layer.project(normed, batch, sequence, 0));
            add(x, layer.output(gated));
            add(x, mlp(normed(x, prefix + "post_attention_layernorm.weight"), prefix + "mlp."));
        }
        return LayerMath.linear(normed(x, "model.norm.weight"), file.values("lm_head.weight"), hidden);
    }

    private double[] normed(double[] x, String weight) {
        double[] w = file.values(weight);
        double[] y = x.clone();
        for (int at = 0; at < y.length; at += hidden) {
            LayerMath.rmsNorm(y, at, w, NORM_EPS, true);
        }
        return y;
    }

    private double[] mlp(double[] x, String prefix) {
        double[] gate = LayerMath.linear(x, file.values(prefix + "gate_proj.weight"), hidden);
        double[] up = LayerMath.linear(x, file.values(prefix + "up_proj.weight"), hidden);
        for (int n = 0; n < up.length; n++) {
            up[n] *= gate[n] / (1 + Math.exp(-gate[n]));
        }
        int inner = up.length / (x.length / hidden);
        return LayerMath.linear(up, file.values(prefix + "down_proj.weight"), inner);
    }

    private static void add(double[] x, double[] y) {
        for (int n = 0; n < x.length; n++) {
            x[n] += y[n];
        }
    }
}
