package io.github.gatedattention.cli.demo;

import io.github.gatedattention.Activation;
import io.github.gatedattention.Backend;
import io.github.gatedattention.DataType;
import io.github.gatedattention.Gate;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Mask;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.safetensors.SafetensorsFile;
import io.github.gatedattention.safetensors.SafetensorsTensor;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.Map;
import java.util.Objects;

/** One attention layer computed by the official implementation in float64, shipped beside this class. */
final class OfficialVector {
    private static final String RESOURCE = "official.safetensors";

    /**
     * The comparison in one type.
     *
     * @param type the type of q, k, v and the result
     * @param toOfficial the largest difference to the official output, which was computed from unrounded inputs
     * @param ofInputs the part of it that exact arithmetic on the rounded inputs has too
     * @param lseToOfficial the largest difference to the official logarithms of the softmax denominators
     * @param accuracy the comparison with float64 on the rounded inputs
     */
    record Result(DataType type, double toOfficial, double ofInputs, double lseToOfficial, Accuracy accuracy) {}

    private OfficialVector() {}

    /** Computes the layer in {@code type} and compares. */
    static Result compare(DataType type, Backend backend, int threads) {
        try (Arena arena = Arena.ofShared()) {
            Map<String, SafetensorsTensor> official = load(arena);
            Tensor q = rounded(arena, type, official, "q");
            Tensor k = rounded(arena, type, official, "k");
            Tensor v = rounded(arena, type, official, "v");
            Tensor gate = rounded(arena, type, official, "gate");
            Tensor out = Tensor.allocate(arena, type, q.shape());
            Tensor lse = Tensor.allocate(arena, DataType.F32, q.dim(0), q.dim(2), q.dim(1));
            try (GatedAttention attention = GatedAttention.builder()
                    .queryHeads((int) q.dim(2))
                    .keyValueHeads((int) k.dim(2))
                    .headDim((int) q.dim(3))
                    .dataType(type)
                    .gate(Gate.elementwise(Activation.SIGMOID))
                    .mask(Mask.causal())
                    .backend(backend)
                    .threads(threads)
                    .build()) {
                attention.forward(Operands.of(q, k, v, gate, out).withLse(lse));
            }
            Problem problem = Problem.of(q, k, v, gate);
            double[] expected = doubles(official, "out");
            return new Result(
                    type,
                    largestDifference(out.toFloatArray(), expected),
                    largestDifference(exact(problem), expected),
                    largestDifference(lse.toFloatArray(), doubles(official, "lse")),
                    problem.accuracy(out.toFloatArray(), type, 1));
        }
    }

    private static Map<String, SafetensorsTensor> load(Arena arena) {
        try (InputStream in = Objects.requireNonNull(OfficialVector.class.getResourceAsStream(RESOURCE))) {
            return SafetensorsFile.read(RESOURCE, in.readAllBytes(), arena).tensors();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static SafetensorsTensor tensor(Map<String, SafetensorsTensor> tensors, String name) {
        return Objects.requireNonNull(tensors.get(name), name);
    }

    private static Tensor rounded(Arena arena, DataType type, Map<String, SafetensorsTensor> tensors, String name) {
        SafetensorsTensor tensor = tensor(tensors, name);
        return Tensor.copyOf(arena, type, tensor.data().toArray(ValueLayout.JAVA_FLOAT), tensor.shape());
    }

    private static double[] doubles(Map<String, SafetensorsTensor> tensors, String name) {
        return tensor(tensors, name).data().toArray(ValueLayout.JAVA_DOUBLE);
    }

    /** The whole output in float64. */
    private static double[] exact(Problem problem) {
        double[] out = new double[problem.q().length];
        int dim = problem.dim();
        for (int row = 0; row < out.length / dim; row++) {
            var exact = new ExactRow(problem, row / problem.queryHeads(), row % problem.queryHeads());
            for (int e = 0; e < dim; e++) {
                out[row * dim + e] = exact.out(e);
            }
        }
        return out;
    }

    private static double largestDifference(float[] actual, double[] expected) {
        double[] widened = new double[actual.length];
        for (int i = 0; i < actual.length; i++) {
            widened[i] = actual[i];
        }
        return largestDifference(widened, expected);
    }

    private static double largestDifference(double[] actual, double[] expected) {
        double largest = 0;
        for (int i = 0; i < expected.length; i++) {
            double difference = Math.abs(actual[i] - expected[i]);
            largest = difference <= largest ? largest : difference; // keeps a NaN
        }
        return largest;
    }
}
