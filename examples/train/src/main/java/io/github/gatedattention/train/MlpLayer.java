package io.github.gatedattention.train;

import io.github.gatedattention.DataType;
import io.github.gatedattention.Tensor;
import java.lang.foreign.Arena;
import java.util.List;

/** {@code out = x + (up(norm(x)) * silu(gate(norm(x)))) Wdownᵀ}: the other half of a block, SwiGLU. */
final class MlpLayer {
    private final Operators operators;
    private final RmsNorm norm;
    private final Parameter gateUp; // [2 * mlpWidth, d]: gate, then up
    private final Parameter down; // [d, mlpWidth]
    private final Tensor projected; // [B, S, 2 * mlpWidth]
    private final Tensor hidden; // [B, S, mlpWidth]
    private final Tensor out; // [B, S, d]
    private final Tensor dProjected;
    private final Tensor dHidden;
    private final Tensor dNormed;

    MlpLayer(Parameters parameters, String name, Arena arena, ModelShape shape, int batch, Operators operators) {
        this.operators = operators;
        int width = shape.width();
        int inner = shape.mlpWidth();
        int context = shape.context();
        norm = new RmsNorm(parameters, name + ".norm", arena, batch, context, width);
        gateUp = parameters.matrix(name + ".gate_up.weight", 1 / Math.sqrt(width), 2 * inner, width);
        down = parameters.matrix(name + ".down.weight", 1 / Math.sqrt(2.0 * shape.layers() * inner), width, inner);
        projected = Tensor.allocate(arena, DataType.F32, batch, context, 2L * inner);
        hidden = Tensor.allocate(arena, DataType.F32, batch, context, inner);
        out = Tensor.allocate(arena, DataType.F32, batch, context, width);
        dProjected = Tensor.allocate(arena, DataType.F32, projected.shape());
        dHidden = Tensor.allocate(arena, DataType.F32, hidden.shape());
        dNormed = Tensor.allocate(arena, DataType.F32, out.shape());
    }

    /** Returns {@code x + mlp}, which stays as it is until the next call. */
    Tensor forward(Tensor x) {
        norm.forward(x);
        Gemm.forward(norm.out(), gateUp.value(), projected, false);
        List<Tensor> halves = halves(projected);
        operators.swiglu().run(halves.getLast(), halves.getFirst(), null, hidden);
        out.copyFrom(x);
        Gemm.forward(hidden, down.value(), out, true);
        return out;
    }

    /** Turns the gradient of the result into that of {@code x}, in place, and sets the gradients of all parameters. */
    void backward(Tensor x, Tensor dx) {
        Gemm.weightGradient(dx, hidden, down.gradient());
        Gemm.inputGradient(dx, down.value(), dHidden, false);
        List<Tensor> halves = halves(projected);
        List<Tensor> dHalves = halves(dProjected);
        operators
                .swiglu()
                .backward(halves.getLast(), halves.getFirst(), dHidden, dHalves.getLast(), dHalves.getFirst());
        Gemm.weightGradient(dProjected, norm.out(), gateUp.gradient());
        Gemm.inputGradient(dProjected, gateUp.value(), dNormed, false);
        norm.backward(x, dNormed, dx);
    }

    private static List<Tensor> halves(Tensor both) {
        return both.split(2, both.dim(2) / 2, both.dim(2) / 2);
    }
}
