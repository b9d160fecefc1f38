package io.github.gatedattention.train;

import io.github.gatedattention.AttentionProbe;
import io.github.gatedattention.AttentionStatistics;
import io.github.gatedattention.BackwardOperands;
import io.github.gatedattention.DataType;
import io.github.gatedattention.HeadGradients;
import io.github.gatedattention.Operands;
import io.github.gatedattention.ProjectedHeads;
import io.github.gatedattention.PrologueGradients;
import io.github.gatedattention.PrologueOperands;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.ValueProbe;
import io.github.gatedattention.ValueStatistics;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.Objects;
import java.util.Optional;
import org.jspecify.annotations.Nullable;

/**
 * {@code out = x + attention(norm(x)) Woᵀ}: the half of a block that this library is about.
 *
 * <p>One projection makes query and gate, side by side in each head, {@code [B, S, Hq, D + scores]}. Neither is copied: the prologue
 * reads the query where it lies, attention the gate, and backward writes their gradients side by side into one tensor again.
 */
final class AttentionLayer {
    private final Operators operators;
    private final RmsNorm norm;
    private final Parameter queryGate; // [Hq * (D + scores), d]
    private final Parameter key; // [Hkv * D, d]
    private final Parameter value; // [Hkv * D, d]
    private final Parameter output; // [d, Hq * D]

    private final Tensor packed; // [B, S, Hq, D + scores]
    private final Tensor projectedKey; // [B, S, Hkv, D]
    private final PrologueOperands before;
    private final Operands operands;
    private final Tensor out; // [B, S, d]

    private final Tensor dPacked;
    private final Tensor dProjectedKey;
    private final PrologueGradients beforeGradients;
    private final BackwardOperands backward;
    private final Tensor dNormed; // [B, S, d]

    AttentionLayer(Parameters parameters, String name, Arena arena, ModelShape shape, int batch, Operators operators) {
        this.operators = operators;
        int width = shape.width();
        int heads = shape.queryHeads();
        int kvHeads = shape.keyValueHeads();
        int dim = shape.headDim();
        int scores = shape.packedDim() - dim;
        int context = shape.context();
        double deviation = 1 / Math.sqrt(width);

        norm = new RmsNorm(parameters, name + ".norm", arena, batch, context, width);
        queryGate = parameters.zeros(name + ".q_gate.weight", true, (long) heads * (dim + scores), width);
        List<Tensor> weights =
                queryGate.value().reshape(heads, dim + scores, width).split(1, sizes(dim, scores));
        parameters.fill(name + ".q", deviation, weights.getFirst());
        if (scores > 0) {
            parameters.fill(name + ".gate", deviation, weights.getLast());
        }
        key = parameters.matrix(name + ".k.weight", deviation, kvHeads * dim, width);
        value = parameters.matrix(name + ".v.weight", deviation, kvHeads * dim, width);
        Parameter queryNorm = parameters.ones(name + ".q_norm.weight", dim);
        Parameter keyNorm = parameters.ones(name + ".k_norm.weight", dim);
        double residual = 1 / Math.sqrt(2.0 * shape.layers() * shape.attentionWidth());
        output = parameters.matrix(name + ".o.weight", residual, width, shape.attentionWidth());

        packed = tensor(arena, batch, context, heads, dim + scores);
        projectedKey = tensor(arena, batch, context, kvHeads, dim);
        Tensor q = tensor(arena, batch, context, heads, dim);
        Tensor k = tensor(arena, batch, context, kvHeads, dim);
        Tensor v = tensor(arena, batch, context, kvHeads, dim);
        List<Tensor> parts = packed.split(3, sizes(dim, scores));
        // The backward pass of the prologue reads what the projections made, so q and k have memory of their own.
        before = PrologueOperands.of(
                ProjectedHeads.of(parts.getFirst(), q).withNormWeight(queryNorm.value()),
                ProjectedHeads.of(projectedKey, k).withNormWeight(keyNorm.value()),
                null);
        out = tensor(arena, batch, context, width);

        dPacked = tensor(arena, packed.shape());
        dProjectedKey = tensor(arena, projectedKey.shape());
        List<Tensor> dParts = dPacked.split(3, sizes(dim, scores));
        Tensor gate = scores > 0 ? parts.getLast() : null;
        Tensor dGate = scores > 0 ? dParts.getLast() : null;
        if (shape.gate() == GateKind.INPUT_INDEPENDENT) {
            // One score per element of every head for all tokens of all sequences: axes of 1 are shared.
            Parameter learned = parameters.zeros(name + ".gate", false, 1, 1, heads, dim);
            gate = learned.value();
            dGate = learned.gradient();
        }
        operands = Operands.of(q, k, v, gate, tensor(arena, q.shape())).withLse(tensor(arena, batch, heads, context));
        Tensor dQ = tensor(arena, q.shape());
        Tensor dK = tensor(arena, k.shape());
        backward = BackwardOperands.of(operands, tensor(arena, q.shape()), dQ, dK, tensor(arena, v.shape()), dGate);
        beforeGradients = new PrologueGradients(
                HeadGradients.of(dQ, dParts.getFirst()).withNormWeight(queryNorm.gradient()),
                HeadGradients.of(dK, dProjectedKey).withNormWeight(keyNorm.gradient()),
                null);
        dNormed = tensor(arena, batch, context, width);
    }

    /** Returns {@code x + attention}, which stays as it is until the next call. */
    Tensor forward(Tensor x) {
        norm.forward(x);
        Gemm.forward(norm.out(), queryGate.value(), packed, false);
        Gemm.forward(norm.out(), key.value(), projectedKey, false);
        Gemm.forward(norm.out(), value.value(), operands.v(), false);
        operators.prologue().run(before);
        operators.attention().forward(operands);
        out.copyFrom(x);
        Gemm.forward(operands.out(), output.value(), out, true);
        return out;
    }

    /** Turns the gradient of the result into that of {@code x}, in place, and sets the gradients of all parameters. */
    void backward(Tensor x, Tensor dx) {
        Gemm.weightGradient(dx, operands.out(), output.gradient());
        Gemm.inputGradient(dx, output.value(), backward.dOut(), false);
        operators.attention().backward(backward);
        operators.prologue().backward(before, beforeGradients);
        Tensor dV = there(backward.dV());
        Gemm.weightGradient(dPacked, norm.out(), queryGate.gradient());
        Gemm.weightGradient(dProjectedKey, norm.out(), key.gradient());
        Gemm.weightGradient(dV, norm.out(), value.gradient());
        Gemm.inputGradient(dPacked, queryGate.value(), dNormed, false);
        Gemm.inputGradient(dProjectedKey, key.value(), dNormed, true);
        Gemm.inputGradient(dV, value.value(), dNormed, true);
        norm.backward(x, dNormed, dx); // the residual stream's own gradient is dx already
    }

    /** Where the last forward pass attended. */
    AttentionStatistics attention() {
        return operators.attention().measure(operands, AttentionProbe.firstToken());
    }

    /** How far its gates were open, if there are any. */
    Optional<ValueStatistics> gates(GateKind kind) {
        return Optional.ofNullable(operands.gate())
                .map(gate -> operators
                        .attention()
                        .measure(gate, ValueProbe.gate(kind.gate().activation())));
    }

    private static long[] sizes(int dim, int scores) {
        return scores == 0 ? new long[] {dim} : new long[] {dim, scores};
    }

    private static Tensor tensor(Arena arena, long... shape) {
        return Tensor.allocate(arena, DataType.F32, shape);
    }

    private static Tensor there(@Nullable Tensor tensor) {
        return Objects.requireNonNull(tensor);
    }
}
