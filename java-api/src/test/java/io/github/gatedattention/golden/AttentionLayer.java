package io.github.gatedattention.golden;

import io.github.gatedattention.Activation;
import io.github.gatedattention.Combination;
import io.github.gatedattention.DataType;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Setting;
import java.util.function.IntUnaryOperator;
import org.jspecify.annotations.Nullable;

/**
 * An attention layer but for attention itself: projections, norm and RoPE before it, the output projection after it.
 *
 * @param headsQ query heads
 * @param headsKv key/value heads
 * @param dim D
 * @param packing what a row of the query projection holds
 * @param rotary elements of D that RoPE turns
 * @param theta RoPE's base
 * @param zeroCentered whether the norms' weights stand for 1 + w
 */
record AttentionLayer(
        int headsQ,
        int headsKv,
        int dim,
        Packing packing,
        int rotary,
        double theta,
        boolean zeroCentered,
        double[] qProjection,
        double[] kProjection,
        double[] vProjection,
        double[] oProjection,
        double[] qNorm,
        double[] kNorm) {
    private static final double NORM_EPS = 1e-6;

    /** The layer of a file whose weights are called {@code prefix + "q_proj" + suffix} and so on. */
    static AttentionLayer read(
            GoldenFile file,
            String prefix,
            String suffix,
            Packing packing,
            int rotary,
            double theta,
            boolean zeroCentered) {
        double[] qNorm = file.values(prefix + "q_norm" + suffix);
        int dim = qNorm.length;
        int headsKv = file.shape(prefix + "k_proj" + suffix)[0] / dim;
        int headsQ = file.shape(prefix + "o_proj" + suffix)[1] / dim;
        return new AttentionLayer(
                headsQ,
                headsKv,
                dim,
                packing,
                rotary,
                theta,
                zeroCentered,
                file.values(prefix + "q_proj" + suffix),
                file.values(prefix + "k_proj" + suffix),
                file.values(prefix + "v_proj" + suffix),
                file.values(prefix + "o_proj" + suffix),
                qNorm,
                file.values(prefix + "k_norm" + suffix));
    }

    /** The official layer: GROUPED packing, RoPE over all of D. */
    static AttentionLayer official(GoldenFile file, Packing packing) {
        return read(file, "w.", ".weight", packing, file.shape("w.q_norm.weight")[0], 10_000, false);
    }

    /** The layer of Qwen3-Next: PER_HEAD packing, RoPE over a quarter of D, zero-centered norms. */
    static AttentionLayer qwen3Next(GoldenFile file, String prefix) {
        int dim = file.shape(prefix + "q_norm.weight")[0];
        return read(file, prefix, ".weight", Packing.PER_HEAD, dim / 4, 1e7, true);
    }

    /** Query heads per key/value head. */
    int group() {
        return headsQ / headsKv;
    }

    /** Width of the hidden states. */
    int hidden() {
        return kProjection.length / (headsKv * dim);
    }

    /** The call that this layer makes. */
    Setting setting() {
        Setting plain = Setting.causal(dim);
        return switch (packing) {
            case Q_ONLY -> plain;
            case GROUPED_HEADWISE -> plain.withHeadwiseGate(Activation.SIGMOID);
            case GROUPED_ELEMENTWISE, PER_HEAD -> plain.withGate(Activation.SIGMOID, Combination.MULTIPLY);
        };
    }

    /** The operands of attention for hidden states {@code x [B, S, hidden]} whose positions start at {@code position}. */
    Projected project(double[] x, int batch, int sequence, int position) {
        double[] packed = LayerMath.linear(x, qProjection, hidden());
        double[] k = LayerMath.linear(x, kProjection, hidden());
        double[] v = LayerMath.linear(x, vProjection, hidden());
        int row = packing.rowLength(headsQ, dim);
        for (int n = 0; n < batch * sequence; n++) {
            int at = position + n % sequence;
            for (int h = 0; h < headsQ; h++) {
                normAndTurn(packed, n * row + packing.queryOffset(h, group(), dim), qNorm, at);
            }
            for (int h = 0; h < headsKv; h++) {
                normAndTurn(k, (n * headsKv + h) * dim, kNorm, at);
            }
        }
        return new Projected(
                this,
                new DoubleTensor(packed, new int[] {1, batch, sequence, row}),
                new DoubleTensor(k, new int[] {batch, sequence, headsKv, dim}),
                new DoubleTensor(v, new int[] {batch, sequence, headsKv, dim}));
    }

    private void normAndTurn(double[] x, int from, double[] weight, int position) {
        LayerMath.rmsNorm(x, from, weight, NORM_EPS, zeroCentered);
        LayerMath.rope(x, from, rotary, theta, position);
    }

    /** The layer's output {@code [B, S, hidden]} for gated attention outputs {@code [B, S, Hq, D]}. */
    double[] output(DoubleTensor gated) {
        return LayerMath.linear(gated.values(), oProjection, headsQ * dim);
    }

    /** How far off the layer's output may be when the gated attention outputs are within {@code bound}. */
    double[] outputBound(DoubleTensor bound) {
        return LayerMath.linearBound(bound.values(), oProjection, headsQ * dim);
    }

    /**
     * What attention is given.
     *
     * @param packed {@code [1, B, S, row]}: q after norm and RoPE, and the gate's scores, where the projection left them
     * @param k {@code [B, S, Hkv, D]}
     * @param v {@code [B, S, Hkv, D]}
     */
    record Projected(AttentionLayer layer, DoubleTensor packed, DoubleTensor k, DoubleTensor v) {
        int batch() {
            return k.shape()[0];
        }

        int sequence() {
            return k.shape()[1];
        }

        /** {@code [B, S, Hq, D]}. */
        DoubleTensor q() {
            return unpack(layer.dim, h -> layer.packing.queryOffset(h, layer.group(), layer.dim));
        }

        /** {@code [B, S, Hq, D or 1]}; null when the layer has no gate. */
        @Nullable
        DoubleTensor gate() {
            return layer.packing == Packing.Q_ONLY
                    ? null
                    : unpack(
                            layer.packing.gateWidth(layer.dim),
                            h -> layer.packing.gateOffset(h, layer.group(), layer.dim));
        }

        private DoubleTensor unpack(int width, IntUnaryOperator offset) {
            DoubleTensor result = DoubleTensor.zeros(batch(), sequence(), layer.headsQ, width);
            int row = packed.shape()[3];
            for (int n = 0; n < batch() * sequence(); n++) {
                for (int h = 0; h < layer.headsQ; h++) {
                    System.arraycopy(
                            packed.values(),
                            n * row + offset.applyAsInt(h),
                            result.values(),
                            (n * layer.headsQ + h) * width,
                            width);
                }
            }
            return result;
        }

        /** The same, every element rounded. */
        Projected rounded(DataType type) {
            return new Projected(layer, packed.rounded(type), k.rounded(type), v.rounded(type));
        }
    }
}
