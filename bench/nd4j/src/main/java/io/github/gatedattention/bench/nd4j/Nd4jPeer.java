package io.github.gatedattention.bench.nd4j;

import io.github.gatedattention.baselines.AttentionShape;
import io.github.gatedattention.bench.Gating;
import io.github.gatedattention.bench.Inputs;
import io.github.gatedattention.bench.peers.CausalMask;
import io.github.gatedattention.bench.peers.Peer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.stream.Stream;
import org.nd4j.linalg.api.buffer.DataType;
import org.nd4j.linalg.api.ndarray.INDArray;
import org.nd4j.linalg.api.ops.CustomOp;
import org.nd4j.linalg.api.ops.DynamicCustomOp;
import org.nd4j.linalg.factory.Nd4j;

/**
 * Attention composed from ND4J's operators, as its own has no causal mask; then sigmoid and multiplication.
 *
 * <p>Operands are [B, Hq, S, D], K is transposed to [B, Hq, D, Sk], and K and V are repeated to Hq heads, once and
 * untimed. Every operator writes into an array that was allocated before.
 */
public final class Nd4jPeer implements Peer {
    private final AttentionShape shape;
    private final INDArray out;
    private final CustomOp[] steps;

    /**
     * Makes the operands and the operators.
     *
     * @param inputs the operands' values
     * @param threads how many threads it may use
     */
    public Nd4jPeer(Inputs inputs, int threads) {
        Nd4j.getEnvironment().setMaxMasterThreads(threads);
        Nd4j.getEnvironment().setMaxThreads(threads);
        shape = inputs.workload().shape();
        int[] rows = {shape.batch(), shape.queryHeads(), shape.queryLength(), shape.headDim()};
        INDArray q = tensor(inputs.q(), shape.queryLength(), shape.queryHeads());
        INDArray transposedKeys = repeated(inputs.k()).permute(0, 1, 3, 2).dup('c');
        INDArray v = repeated(inputs.v());
        INDArray scaled = empty(rows);
        INDArray scores = empty(shape.batch(), shape.queryHeads(), shape.queryLength(), shape.keyLength());
        INDArray weights = scores.ulike();
        out = empty(rows);
        List<CustomOp> all = new ArrayList<>();
        all.add(binary("multiply", q, Nd4j.scalar(shape.scale()), scaled));
        all.add(binary("matmul", scaled, transposedKeys, scores));
        if (shape.queryLength() > 1) {
            INDArray mask = Nd4j.create(
                    CausalMask.of(shape), new long[] {1, 1, shape.queryLength(), shape.keyLength()}, DataType.FLOAT);
            all.add(binary("add", scores, mask, scores));
        }
        all.add(DynamicCustomOp.builder("softmax")
                .addInputs(scores)
                .addOutputs(weights)
                .addIntegerArguments(3)
                .build());
        all.add(binary("matmul", weights, v, out));
        if (inputs.workload().gating() != Gating.NONE) {
            INDArray gate = tensor(inputs.gateScores(), shape.queryLength(), shape.queryHeads());
            INDArray factor = gate.ulike();
            all.add(DynamicCustomOp.builder("sigmoid")
                    .addInputs(gate)
                    .addOutputs(factor)
                    .build());
            all.add(binary("multiply", out, factor, out));
        }
        steps = all.toArray(CustomOp[]::new);
    }

    private static CustomOp binary(String name, INDArray left, INDArray right, INDArray result) {
        return DynamicCustomOp.builder(name)
                .addInputs(left, right)
                .addOutputs(result)
                .build();
    }

    private static INDArray empty(int... extents) {
        long[] shape = Arrays.stream(extents).asLongStream().toArray();
        return Nd4j.createUninitialized(DataType.FLOAT, shape);
    }

    /** [B, S, H, D] to [B, H, S, D]. */
    private INDArray tensor(float[] values, int length, int heads) {
        int dim = values.length / (shape.batch() * length * heads);
        float[] byHead = Inputs.exchangeAxes(values, shape.batch(), length, heads, dim);
        return Nd4j.create(byHead, new long[] {shape.batch(), heads, length, dim}, DataType.FLOAT);
    }

    /** [B, Sk, Hkv, D] to [B, Hq, Sk, D]. */
    private INDArray repeated(float[] values) {
        INDArray heads = tensor(values, shape.keyLength(), shape.keyValueHeads());
        return shape.groupSize() == 1 ? heads : heads.repeat(1, shape.groupSize());
    }

    @Override
    public void forward() {
        for (CustomOp step : steps) {
            Nd4j.exec(step);
        }
    }

    @Override
    public float[] output() {
        return Inputs.exchangeAxes(
                out.dup('c').data().asFloat(), shape.batch(), shape.queryHeads(), shape.queryLength(), shape.headDim());
    }

    @Override
    public void close() {
        for (CustomOp step : steps) {
            Stream.of(step.inputArguments(), step.outputArguments())
                    .flatMap(List::stream)
                    .filter(array -> !array.wasClosed() && array.closeable())
                    .forEach(INDArray::close);
        }
    }
}
