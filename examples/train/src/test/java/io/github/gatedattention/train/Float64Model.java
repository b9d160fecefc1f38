package io.github.gatedattention.train;

import java.util.Arrays;
import java.util.Map;
import java.util.Objects;

/**
 * The loss of a {@link LanguageModel} in float64, in plain loops that share no code with it: what its gradients are differences of. It
 * holds the matrix of probabilities, one row at a time, and forgets everything else.
 */
final class Float64Model {
    private static final double EPS = 1e-6f;

    private final ModelShape shape;
    private final Map<String, double[]> weights;

    Float64Model(ModelShape shape, Map<String, double[]> weights) {
        this.shape = shape;
        this.weights = weights;
    }

    /** The mean loss of a batch, in nats per token. */
    double loss(Batch batch) {
        int context = shape.context();
        double sum = 0;
        for (int start = 0; start < batch.inputs().length; start += context) {
            double[][] x = new double[context][];
            for (int s = 0; s < context; s++) {
                x[s] = row("embed.weight", batch.inputs()[start + s]);
            }
            for (int layer = 0; layer < shape.layers(); layer++) {
                attention(x, "layers." + layer + ".attention");
                mlp(x, "layers." + layer + ".mlp");
            }
            for (int s = 0; s < context; s++) {
                sum += crossEntropy(x[s], batch.targets()[start + s]);
            }
        }
        return sum / batch.inputs().length;
    }

    private double crossEntropy(double[] x, int target) {
        double[] logits = multiply(shape.tied() ? "embed.weight" : "head.weight", norm(x, weight("norm.weight")));
        double sum = 0;
        for (double logit : logits) {
            sum += Math.exp(logit);
        }
        return Math.log(sum) - logits[target];
    }

    /** Adds to every token what attention makes of those before it. */
    private void attention(double[][] x, String name) {
        int dim = shape.headDim();
        int packed = shape.packedDim();
        int group = shape.queryHeads() / shape.keyValueHeads();
        double[][] projected = new double[x.length][];
        double[][] keys = new double[x.length][];
        double[][] values = new double[x.length][];
        for (int s = 0; s < x.length; s++) {
            double[] normed = norm(x[s], weight(name + ".norm.weight"));
            projected[s] = multiply(name + ".q_gate.weight", normed);
            keys[s] = heads(multiply(name + ".k.weight", normed), dim, name + ".k_norm.weight", s);
            values[s] = multiply(name + ".v.weight", normed);
        }
        for (int s = 0; s < x.length; s++) {
            double[] queries = heads(projected[s], packed, name + ".q_norm.weight", s);
            double[] all = new double[shape.attentionWidth()];
            for (int h = 0; h < shape.queryHeads(); h++) {
                int kv = h / group;
                double[] y = new double[dim];
                double denominator = 0;
                for (int t = 0; t <= s; t++) {
                    double score = 0;
                    for (int c = 0; c < dim; c++) {
                        score += queries[h * dim + c] * keys[t][kv * dim + c];
                    }
                    double share = Math.exp(score / Math.sqrt(dim));
                    denominator += share;
                    for (int c = 0; c < dim; c++) {
                        y[c] += share * values[t][kv * dim + c];
                    }
                }
                for (int c = 0; c < dim; c++) {
                    all[h * dim + c] = y[c] / denominator * gate(name, projected[s], h, c);
                }
            }
            add(x[s], multiply(name + ".o.weight", all));
        }
    }

    private double gate(String name, double[] projected, int head, int element) {
        int scores = head * shape.packedDim() + shape.headDim();
        return switch (shape.gate()) {
            case NONE -> 1;
            case ELEMENTWISE -> sigmoid(projected[scores + element]);
            case HEADWISE -> sigmoid(projected[scores]);
            case NS_SIGMOID -> 0.5 + 0.5 * sigmoid(projected[scores + element]);
            case INPUT_INDEPENDENT -> sigmoid(weight(name + ".gate")[head * shape.headDim() + element]);
        };
    }

    /** Heads that lie {@code stride} apart after their norms, turned by their position: element c with element c + D/2. */
    private double[] heads(double[] projected, int stride, String weight, int position) {
        int dim = shape.headDim();
        double[] turned = new double[projected.length / stride * dim];
        for (int h = 0; h < projected.length / stride; h++) {
            double[] normed = norm(Arrays.copyOfRange(projected, h * stride, h * stride + dim), weight(weight));
            for (int c = 0; c < dim / 2; c++) {
                double angle = position * Math.pow(10_000, -2.0 * c / dim);
                double cosine = Math.cos(angle);
                double sine = Math.sin(angle);
                turned[h * dim + c] = normed[c] * cosine - normed[c + dim / 2] * sine;
                turned[h * dim + c + dim / 2] = normed[c + dim / 2] * cosine + normed[c] * sine;
            }
        }
        return turned;
    }

    private void mlp(double[][] x, String name) {
        int inner = shape.mlpWidth();
        for (double[] token : x) {
            double[] both = multiply(name + ".gate_up.weight", norm(token, weight(name + ".norm.weight")));
            double[] hidden = new double[inner];
            for (int c = 0; c < inner; c++) {
                hidden[c] = both[c] * sigmoid(both[c]) * both[inner + c];
            }
            add(token, multiply(name + ".down.weight", hidden));
        }
    }

    private static double[] norm(double[] x, double[] weight) {
        double squares = 0;
        for (double value : x) {
            squares += value * value;
        }
        double[] y = new double[x.length];
        for (int c = 0; c < x.length; c++) {
            y[c] = x[c] / Math.sqrt(squares / x.length + EPS) * weight[c];
        }
        return y;
    }

    private double[] multiply(String name, double[] x) {
        double[] matrix = weight(name);
        double[] y = new double[matrix.length / x.length];
        for (int r = 0; r < y.length; r++) {
            for (int c = 0; c < x.length; c++) {
                y[r] += matrix[r * x.length + c] * x[c];
            }
        }
        return y;
    }

    private double[] row(String name, int index) {
        double[] row = new double[shape.width()];
        System.arraycopy(weight(name), index * row.length, row, 0, row.length);
        return row;
    }

    private double[] weight(String name) {
        return Objects.requireNonNull(weights.get(name), name);
    }

    private static void add(double[] to, double[] values) {
        for (int c = 0; c < to.length; c++) {
            to[c] += values[c];
        }
    }

    private static double sigmoid(double x) {
        return 1 / (1 + Math.exp(-x));
    }
}
