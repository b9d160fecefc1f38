package io.github.gatedattention.golden;

import io.github.gatedattention.Activation;
import io.github.gatedattention.AttentionEpilogue;
import io.github.gatedattention.AttentionPrologue;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.KvCache;
import io.github.gatedattention.Operands;
import io.github.gatedattention.ProjectedHeads;
import io.github.gatedattention.PrologueOperands;
import io.github.gatedattention.Rope;
import io.github.gatedattention.Sequences;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * A whole attention layer of this library, from hidden states to hidden states: its prologue, attention and epilogue between
 * projections that are plain matrix products.
 */
final class ProductLayer implements AutoCloseable {
    private static final int POSITIONS = 256;

    /**
     * What a layer is made of.
     *
     * @param packing what a row of the query projection holds; Q_ONLY with a separate projection of the gate, or none
     * @param setting the attention call
     * @param zeroCentered whether the norms' weights stand for 1 + w
     * @param gates the activations of gates on q, k and v; null: none
     */
    record Spec(
            int headsQ,
            int headsKv,
            int dim,
            Packing packing,
            Setting setting,
            float eps,
            boolean zeroCentered,
            Rope rope,
            @Nullable Activation[] gates,
            boolean gatedOutput) {

        static Spec plain(int headsQ, int headsKv, int dim) {
            return new Spec(
                    headsQ,
                    headsKv,
                    dim,
                    Packing.Q_ONLY,
                    Setting.causal(dim),
                    1e-6f,
                    false,
                    Rope.of(dim, 10_000),
                    new @Nullable Activation[3],
                    false);
        }

        Spec with(Setting newSetting) {
            return new Spec(headsQ, headsKv, dim, packing, newSetting, eps, zeroCentered, rope, gates, gatedOutput);
        }

        Spec with(Packing newPacking, Setting newSetting) {
            return new Spec(headsQ, headsKv, dim, newPacking, newSetting, eps, zeroCentered, rope, gates, gatedOutput);
        }

        Spec with(float newEps, boolean newZeroCentered, Rope newRope) {
            return new Spec(
                    headsQ, headsKv, dim, packing, setting, newEps, newZeroCentered, newRope, gates, gatedOutput);
        }

        Spec withGateOn(int part) {
            @Nullable Activation[] more = gates.clone();
            more[part] = Activation.SIGMOID;
            return new Spec(headsQ, headsKv, dim, packing, setting, eps, zeroCentered, rope, more, gatedOutput);
        }

        Spec withGateOn(int part, Activation activation) {
            @Nullable Activation[] more = gates.clone();
            more[part] = activation;
            return new Spec(headsQ, headsKv, dim, packing, setting, eps, zeroCentered, rope, more, gatedOutput);
        }

        Spec withGatedOutput() {
            return new Spec(headsQ, headsKv, dim, packing, setting, eps, zeroCentered, rope, gates, true);
        }
    }

    /** Weights, {@code [out, in]}. */
    record Weights(double[] q, double[] k, double[] v, double[] o, double[] qNorm, double[] kNorm) {
        static Weights of(GoldenFile file, String suffix) {
            return new Weights(
                    file.values("w.q_proj" + suffix),
                    file.values("w.k_proj" + suffix),
                    file.values("w.v_proj" + suffix),
                    file.values("w.o_proj" + suffix),
                    file.values("w.q_norm" + suffix),
                    file.values("w.k_norm" + suffix));
        }
    }

    /**
     * Scores that come from projections of their own, each {@code [B, S, heads, dim]} or shared along axes of 1; null where there are
     * none.
     */
    record Scores(
            @Nullable DoubleTensor attention,
            @Nullable DoubleTensor q,
            @Nullable DoubleTensor k,
            @Nullable DoubleTensor v,
            @Nullable DoubleTensor output) {
        static final Scores NONE = new Scores(null, null, null, null, null);
    }

    private final Spec spec;
    private final Weights weights;
    private final DataType type;
    private final int hidden;
    private final int groups;
    private final Arena arena = Arena.ofShared();
    private final AttentionPrologue prologue;
    private final GatedAttention attention;
    private final AttentionEpilogue epilogue;
    private final @Nullable Tensor sdpaNorm;

    ProductLayer(Target target, DataType type, Spec spec, Weights weights, @Nullable DoubleTensor sdpaNorm) {
        this.spec = spec;
        this.weights = weights;
        this.type = type;
        this.hidden = weights.k.length / (spec.headsKv * spec.dim);
        this.groups = spec.packing.grouped() ? spec.headsKv : 1;
        this.sdpaNorm = sdpaNorm == null
                ? null
                : tensor(DataType.F32, sdpaNorm.values(), sdpaNorm.shape()[2], sdpaNorm.shape()[3]);
        AttentionPrologue.Builder builder = AttentionPrologue.builder()
                .queryHeads(spec.headsQ)
                .keyValueHeads(spec.headsKv)
                .headDim(spec.dim)
                .dataType(type)
                .rope(spec.rope, POSITIONS)
                .backend(target.backend())
                .maxInstructionSet(target.instructionSet())
                .threads(2);
        builder = spec.zeroCentered ? builder.zeroCenteredNorm(spec.eps) : builder.norm(spec.eps);
        builder = spec.gates[0] == null ? builder : builder.queryGate(spec.gates[0]);
        builder = spec.gates[1] == null ? builder : builder.keyGate(spec.gates[1]);
        builder = spec.gates[2] == null ? builder : builder.valueGate(spec.gates[2]);
        prologue = builder.build();
        attention = target.builder(spec.setting, type, spec.headsQ / groups, spec.headsKv / groups, spec.dim, spec.dim)
                .build();
        epilogue = AttentionEpilogue.builder()
                .width(hidden)
                .dataType(type)
                .gate(spec.gatedOutput ? Activation.SIGMOID : null)
                .backend(target.backend())
                .maxInstructionSet(target.instructionSet())
                .threads(2)
                .build();
    }

    private Tensor tensor(DataType of, double[] values, long... shape) {
        float[] floats = new float[values.length];
        for (int n = 0; n < floats.length; n++) {
            floats[n] = (float) values[n];
        }
        return Tensor.copyOf(arena, of, floats, shape);
    }

    private @Nullable Tensor scores(@Nullable DoubleTensor scores) {
        if (scores == null) {
            return null;
        }
        int[] shape = scores.shape();
        return tensor(type, scores.values(), shape[0], shape[1], shape[2], shape[3]);
    }

    /** A call's operands before attention: q and the gate where the projection left them. */
    private record Projected(Tensor q, Tensor gateColumns, Tensor k, Tensor v, Tensor out) {}

    private Projected project(double[] x, int batch, int sequence) {
        int row = spec.packing.rowLength(spec.headsQ, spec.dim);
        Tensor packed = tensor(type, LayerMath.linear(x, weights.q, hidden), batch, sequence, row);
        Tensor k = tensor(type, LayerMath.linear(x, weights.k, hidden), batch, sequence, spec.headsKv, spec.dim);
        Tensor v = tensor(type, LayerMath.linear(x, weights.v, hidden), batch, sequence, spec.headsKv, spec.dim);
        int width = spec.packing.gateWidth(spec.dim);
        Tensor q;
        Tensor gate = packed;
        if (spec.packing.grouped()) {
            long group = spec.headsQ / spec.headsKv;
            List<Tensor> parts = packed.reshape(batch, sequence, spec.headsKv, group * (spec.dim + width))
                    .split(3, group * spec.dim, group * width);
            q = parts.get(0).reshape(batch, sequence, spec.headsKv, group, spec.dim);
            gate = parts.get(1).reshape(batch, sequence, spec.headsKv, group, width);
        } else if (spec.packing == Packing.PER_HEAD) {
            List<Tensor> parts =
                    packed.reshape(batch, sequence, spec.headsQ, 2L * spec.dim).split(3, spec.dim, spec.dim);
            q = parts.get(0);
            gate = parts.get(1);
        } else {
            q = packed.reshape(batch, sequence, spec.headsQ, spec.dim);
        }
        return new Projected(q, gate, k, v, Tensor.allocate(arena, type, batch, sequence, spec.headsQ, spec.dim));
    }

    private PrologueOperands operands(Projected p, Scores scores) {
        return PrologueOperands.of(
                ProjectedHeads.inPlace(p.q)
                        .withGate(scores(scores.q))
                        .withNormWeight(tensor(DataType.F32, weights.qNorm, spec.dim)),
                ProjectedHeads.inPlace(p.k)
                        .withGate(scores(scores.k))
                        .withNormWeight(tensor(DataType.F32, weights.kNorm, spec.dim)),
                ProjectedHeads.inPlace(p.v).withGate(scores(scores.v)));
    }

    /** One call for all heads; of a grouped projection one per group, whose heads alone lie at one stride. */
    private void attend(Projected p, Tensor k, Tensor v, Scores scores, @Nullable Sequences sequences) {
        long group = spec.headsQ / groups;
        long kv = spec.headsKv / groups;
        Tensor separate = scores(scores.attention);
        for (int g = 0; g < groups; g++) {
            boolean grouped = spec.packing.grouped();
            Tensor gate =
                    spec.packing == Packing.Q_ONLY ? separate : grouped ? p.gateColumns.select(2, g) : p.gateColumns;
            attention.forward(Operands.of(
                            grouped ? p.q.select(2, g) : p.q,
                            k.slice(2, g * kv, (g + 1) * kv),
                            v.slice(2, g * kv, (g + 1) * kv),
                            gate,
                            p.out.slice(2, g * group, (g + 1) * group))
                    .withNormWeight(sdpaNorm)
                    .withSequences(sequences));
        }
    }

    /** The layer's output {@code [B, S, hidden]} of what attention gave. */
    private double[] output(Projected p, Scores scores, int batch, int sequence) {
        double[] projected = LayerMath.linear(DoubleTensor.of(p.out).values(), weights.o, spec.headsQ * spec.dim);
        if (!spec.gatedOutput) {
            return projected; // as the other layers' tests compare it, not rounded once more
        }
        Tensor rows = tensor(type, projected, batch, sequence, hidden);
        Tensor gate = scores(scores.output);
        epilogue.run(rows, gate == null ? null : gate.reshape(batch, sequence, hidden), null, rows);
        return DoubleTensor.of(rows).values();
    }

    /** All tokens of hidden states {@code [B, S, hidden]} at once. */
    double[] run(double[] x, int batch, int sequence, Scores scores, @Nullable Sequences sequences) {
        Projected p = project(x, batch, sequence);
        prologue.run(operands(p, scores));
        attend(p, p.k, p.v, scores, sequences);
        return output(p, scores, batch, sequence);
    }

    /** One sequence, its first tokens together and the others one by one, on a cache. */
    double[] decode(double[] x, int sequence, int prefill, boolean paged) {
        double[] y = new double[x.length];
        try (KvCache cache = (paged ? KvCache.paged(8, 4) : KvCache.contiguous(1, 32))
                .keyValueHeads(spec.headsKv)
                .headDim(spec.dim)
                .dataType(type)
                .build()) {
            long id = cache.allocate();
            for (int from = 0; from < sequence; ) {
                int tokens = from == 0 ? prefill : 1;
                double[] part = new double[tokens * hidden];
                System.arraycopy(x, from * hidden, part, 0, part.length);
                Projected p = project(part, 1, tokens);
                prologue.run(operands(p, Scores.NONE), cache, id);
                attend(p, cache.keys(), cache.values(), Scores.NONE, cache.sequences(id));
                System.arraycopy(output(p, Scores.NONE, 1, tokens), 0, y, from * hidden, part.length);
                from += tokens;
            }
        }
        return y;
    }

    Tensor starts(int[] starts) {
        return Tensor.copyOf(arena, DataType.I32, starts, starts.length);
    }

    @Override
    public void close() {
        prologue.close();
        attention.close();
        epilogue.close();
        arena.close();
    }
}
