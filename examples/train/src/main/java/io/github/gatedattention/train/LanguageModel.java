package io.github.gatedattention.train;

import static java.lang.foreign.ValueLayout.JAVA_FLOAT;

import io.github.gatedattention.DataType;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.ValueProbe;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.ArrayList;
import java.util.List;

/**
 * A causal language model: embedding, blocks of attention and MLP on a residual stream, norm, head. Everything that a step needs is
 * allocated once, when the model is made, for batches of one shape.
 */
final class LanguageModel implements AutoCloseable {
    private static final double EMBEDDING_DEVIATION = 0.02;

    private final ModelShape shape;
    private final Arena arena = Arena.ofShared();
    private final Operators operators;
    private final Parameters parameters;
    private final Parameter embedding; // [V, d]
    private final Parameter head; // [V, d]; the embedding itself when they are tied
    private final List<Block> blocks = new ArrayList<>();
    private final RmsNorm norm;
    private final Tensor embedded; // [B, S, d]
    private final Tensor logits; // [B, S, V]; their gradients after the loss
    private final Tensor dx; // [B, S, d]: the gradient of the residual stream, from its end to its beginning
    private final Tensor dNormed;

    private Batch batch = new Batch(new int[0], new int[0]);

    /** Attention, then MLP. */
    private record Block(AttentionLayer attention, MlpLayer mlp, List<Tensor> stream) {
        Tensor forward(Tensor x) {
            stream.clear();
            stream.add(x);
            stream.add(attention.forward(x));
            stream.add(mlp.forward(stream.getLast()));
            return stream.getLast();
        }

        void backward(Tensor dx) {
            mlp.backward(stream.get(1), dx);
            attention.backward(stream.get(0), dx);
        }
    }

    LanguageModel(ModelShape shape, int batch, long seed) {
        this.shape = shape;
        operators = Operators.of(shape);
        parameters = new Parameters(arena, seed);
        int context = shape.context();
        embedding = parameters.matrix("embed.weight", EMBEDDING_DEVIATION, shape.vocabulary(), shape.width());
        for (int layer = 0; layer < shape.layers(); layer++) {
            String name = "layers." + layer;
            blocks.add(new Block(
                    new AttentionLayer(parameters, name + ".attention", arena, shape, batch, operators),
                    new MlpLayer(parameters, name + ".mlp", arena, shape, batch, operators),
                    new ArrayList<>()));
        }
        norm = new RmsNorm(parameters, "norm", arena, batch, context, shape.width());
        head = shape.tied()
                ? embedding
                : parameters.matrix("head.weight", EMBEDDING_DEVIATION, shape.vocabulary(), shape.width());
        embedded = Tensor.allocate(arena, DataType.F32, batch, context, shape.width());
        logits = Tensor.allocate(arena, DataType.F32, batch, context, shape.vocabulary());
        dx = Tensor.allocate(arena, DataType.F32, embedded.shape());
        dNormed = Tensor.allocate(arena, DataType.F32, embedded.shape());
    }

    ModelShape shape() {
        return shape;
    }

    /** All that is learned, in a fixed order. */
    List<Parameter> parameters() {
        return parameters.all();
    }

    /** How many weights there are. */
    long size() {
        return parameters().stream().mapToLong(Parameter::size).sum();
    }

    /** Returns the loss of a batch, in nats per token; {@link #backward} may follow. */
    double forward(Batch tokens) {
        batch = tokens;
        embed(tokens.inputs());
        Tensor x = embedded;
        for (Block block : blocks) {
            x = block.forward(x);
        }
        norm.forward(x);
        Gemm.forward(norm.out(), head.value(), logits, false);
        return CrossEntropy.lossAndGradient(logits, tokens.targets());
    }

    /** Sets the gradients of all parameters for the batch of the last forward pass. */
    void backward() {
        Gemm.weightGradient(logits, norm.out(), head.gradient());
        Gemm.inputGradient(logits, head.value(), dNormed, false);
        dx.segment().fill((byte) 0);
        norm.backward(blocks.getLast().stream().getLast(), dNormed, dx);
        for (Block block : blocks.reversed()) {
            block.backward(dx);
        }
        embeddingGradient(batch.inputs());
    }

    /** What the paper measures, of the last forward pass. */
    ModelMeasures measure() {
        List<ModelMeasures.OfLayer> layers = new ArrayList<>();
        for (Block block : blocks) {
            double largest = operators
                    .attention()
                    .measure(block.stream().getLast(), ValueProbe.values())
                    .all()
                    .largest();
            layers.add(new ModelMeasures.OfLayer(
                    block.attention().attention().firstToken(),
                    block.attention()
                            .gates(shape.gate())
                            .map(gates -> gates.all().mean())
                            .orElse(Double.NaN),
                    largest));
        }
        return new ModelMeasures(layers);
    }

    private void embed(int[] tokens) {
        MemorySegment table = embedding.value().segment();
        long bytes = (long) shape.width() * Float.BYTES;
        for (int t = 0; t < tokens.length; t++) {
            MemorySegment.copy(table, tokens[t] * bytes, embedded.segment(), t * bytes, bytes);
        }
    }

    /** Rows are added in the order of the tokens, by one thread: the sums have the same bits every time. */
    private void embeddingGradient(int[] tokens) {
        MemorySegment sums = embedding.gradient().segment();
        if (!shape.tied()) {
            sums.fill((byte) 0); // else the head's gradient is there, and both add up
        }
        int width = shape.width();
        for (int t = 0; t < tokens.length; t++) {
            long to = (long) tokens[t] * width;
            for (int c = 0; c < width; c++) {
                float add = dx.segment().getAtIndex(JAVA_FLOAT, (long) t * width + c);
                sums.setAtIndex(JAVA_FLOAT, to + c, sums.getAtIndex(JAVA_FLOAT, to + c) + add);
            }
        }
    }

    @Override
    public void close() {
        operators.close();
        arena.close();
    }
}
