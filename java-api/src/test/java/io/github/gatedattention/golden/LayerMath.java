package io.github.gatedattention.golden;

/** What stands around attention in a layer, in float64 and plain loops. */
final class LayerMath {
    private LayerMath() {}

    /** {@code x [n, in]} times the transpose of {@code weight [out, in]}. */
    static double[] linear(double[] x, double[] weight, int in) {
        int rows = x.length / in;
        int out = weight.length / in;
        double[] y = new double[rows * out];
        for (int n = 0; n < rows; n++) {
            for (int o = 0; o < out; o++) {
                double sum = 0;
                for (int i = 0; i < in; i++) {
                    sum += x[n * in + i] * weight[o * in + i];
                }
                y[n * out + o] = sum;
            }
        }
        return y;
    }

    /** Adds {@code |weight| bound} of the inputs to each output: how far errors within {@code bound} carry through {@link #linear}. */
    static double[] linearBound(double[] bound, double[] weight, int in) {
        double[] absolute = new double[weight.length];
        for (int n = 0; n < weight.length; n++) {
            absolute[n] = Math.abs(weight[n]);
        }
        return linear(bound, absolute, in);
    }

    /** RMSNorm of {@code weight.length} elements in place; a zero-centered weight stands for {@code 1 + w}. */
    static void rmsNorm(double[] x, int from, double[] weight, double eps, boolean zeroCentered) {
        double square = 0;
        for (int d = 0; d < weight.length; d++) {
            square += x[from + d] * x[from + d];
        }
        double r = 1 / Math.sqrt(square / weight.length + eps);
        for (int d = 0; d < weight.length; d++) {
            x[from + d] *= r * (zeroCentered ? 1 + weight[d] : weight[d]);
        }
    }

    /** Rotates the first {@code rotary} elements in place, element d with element d + rotary / 2. */
    static void rope(double[] x, int from, int rotary, double theta, int position) {
        int half = rotary / 2;
        for (int d = 0; d < half; d++) {
            double angle = position * Math.pow(theta, -2.0 * d / rotary);
            double a = x[from + d];
            double b = x[from + half + d];
            x[from + d] = a * Math.cos(angle) - b * Math.sin(angle);
            x[from + half + d] = b * Math.cos(angle) + a * Math.sin(angle);
        }
    }
}
