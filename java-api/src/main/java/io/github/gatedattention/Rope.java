package io.github.gatedattention;

/**
 * Rotary position embedding: pairs of elements of queries and keys are turned by angles that grow with the position. Pair n of
 * {@code dim / 2} turns by {@code position * f(n)}, {@code f(n) = theta^(-2n/dim)} unless it is scaled.
 *
 * <p>Immutable. The angles, their cosines and their sines are computed in double, and rounded to float once.
 */
public final class Rope {
    private static final int MOST_DIM = 512;

    private final int dim;
    private final boolean interleaved;
    private final double magnitude;
    private final double[] frequencies;
    private final double theta;

    private Rope(int dim, double theta, boolean interleaved, double magnitude, double[] frequencies) {
        this.dim = dim;
        this.theta = theta;
        this.interleaved = interleaved;
        this.magnitude = magnitude;
        this.frequencies = frequencies;
    }

    /**
     * Turns the first {@code dim} elements of a head, element n together with element {@code n + dim / 2}.
     *
     * @param dim how many elements are turned: the head dimension, or less of it; even, 2 to 512
     * @param theta the base of the frequencies, finite and above 0
     * @return the embedding
     * @throws IllegalArgumentException when a number is out of range
     */
    public static Rope of(int dim, double theta) {
        if (dim < 2 || dim > MOST_DIM || dim % 2 != 0) {
            throw new IllegalArgumentException("dim is " + dim + ", but must be even, 2 to " + MOST_DIM);
        }
        if (!(theta > 0) || theta == Double.POSITIVE_INFINITY) {
            throw new IllegalArgumentException("theta is " + theta + ", but must be finite and above 0");
        }
        double[] frequencies = new double[dim / 2];
        for (int n = 0; n < frequencies.length; n++) {
            frequencies[n] = Math.pow(theta, -2.0 * n / dim);
        }
        return new Rope(dim, theta, false, 1, frequencies);
    }

    /**
     * This embedding with element 2n turned together with element 2n + 1.
     *
     * @return the changed embedding
     */
    public Rope interleaved() {
        return new Rope(dim, theta, true, magnitude, frequencies);
    }

    /**
     * This embedding with all frequencies divided by a factor, for sequences so many times longer.
     *
     * @param factor finite and above 0
     * @return the changed embedding
     * @throws IllegalArgumentException when the factor is out of range
     */
    public Rope withLinearScaling(double factor) {
        requirePositive("factor", factor);
        double[] scaled = frequencies.clone();
        for (int n = 0; n < scaled.length; n++) {
            scaled[n] /= factor;
        }
        return new Rope(dim, theta, interleaved, magnitude, scaled);
    }

    /**
     * How YaRN scales the frequencies (<a href="https://arxiv.org/abs/2309.00071">arXiv 2309.00071</a>): those that turn less than
     * {@code betaSlow} times over the original positions are divided by the factor, those that turn more than {@code betaFast} times
     * stay, and between them lies a ramp.
     *
     * @param factor how many times longer the sequences are than the original positions, at least 1
     * @param originalPositions the positions that the model was trained with, at least 1
     * @param betaFast usually 32
     * @param betaSlow usually 1, above 0 and at most betaFast
     * @param magnitude what cosines and sines are multiplied with, usually {@code 0.1 ln(factor) + 1}
     * @param truncate whether the ramp begins and ends at whole numbers, as it usually does
     */
    public record Yarn(
            double factor,
            long originalPositions,
            double betaFast,
            double betaSlow,
            double magnitude,
            boolean truncate) {
        /**
         * Checks the numbers.
         *
         * @throws IllegalArgumentException when one is out of range
         */
        public Yarn {
            requirePositive("betaSlow", betaSlow);
            requirePositive("betaFast", betaFast);
            requirePositive("magnitude", magnitude);
            if (!(factor >= 1) || factor == Double.POSITIVE_INFINITY) {
                throw new IllegalArgumentException("factor is " + factor + ", but must be finite and at least 1");
            }
            if (originalPositions < 1) {
                throw new IllegalArgumentException(
                        "originalPositions is " + originalPositions + ", but must be at least 1");
            }
            if (betaSlow > betaFast) {
                throw new IllegalArgumentException(
                        "betaSlow is " + betaSlow + ", but must be at most betaFast, " + betaFast);
            }
        }

        /**
         * YaRN with its usual numbers.
         *
         * @param factor how many times longer the sequences are, at least 1
         * @param originalPositions the positions that the model was trained with
         * @return betaFast 32, betaSlow 1, magnitude {@code 0.1 ln(factor) + 1}, truncated
         * @throws IllegalArgumentException when a number is out of range
         */
        public static Yarn of(double factor, long originalPositions) {
            return new Yarn(factor, originalPositions, 32, 1, 0.1 * Math.log(factor) + 1, true);
        }
    }

    /**
     * This embedding with its frequencies scaled by YaRN.
     *
     * @param yarn how
     * @return the changed embedding
     */
    public Rope withYarn(Yarn yarn) {
        double low = pairThatTurns(yarn.betaFast(), yarn.originalPositions());
        double high = pairThatTurns(yarn.betaSlow(), yarn.originalPositions());
        if (yarn.truncate()) {
            low = Math.floor(low);
            high = Math.ceil(high);
        }
        low = Math.max(low, 0);
        high = Math.min(high, dim - 1.0);
        if (low == high) {
            high += 0.001; // a step, not a division by 0
        }
        double[] scaled = frequencies.clone();
        for (int n = 0; n < scaled.length; n++) {
            double ramp = Math.clamp((n - low) / (high - low), 0.0, 1.0);
            scaled[n] = scaled[n] / yarn.factor() * ramp + scaled[n] * (1 - ramp);
        }
        return new Rope(dim, theta, interleaved, magnitude * yarn.magnitude(), scaled);
    }

    /** The pair, not a whole number, whose unscaled frequency turns so many times over the positions. */
    private double pairThatTurns(double times, long positions) {
        return dim * Math.log(positions / (times * 2 * Math.PI)) / (2 * Math.log(theta));
    }

    private static void requirePositive(String name, double value) {
        if (!(value > 0) || value == Double.POSITIVE_INFINITY) {
            throw new IllegalArgumentException(name + " is " + value + ", but must be finite and above 0");
        }
    }

    /**
     * Returns how many elements of a head are turned.
     *
     * @return an even number
     */
    public int dim() {
        return dim;
    }

    /**
     * Returns which elements are turned together.
     *
     * @return whether they are neighbors
     */
    public boolean isInterleaved() {
        return interleaved;
    }

    /** What cosines and sines are multiplied with. */
    double magnitude() {
        return magnitude;
    }

    /** The angle per position of a pair. */
    double frequency(int pair) {
        return frequencies[pair];
    }

    @Override
    public String toString() {
        return "Rope[dim " + dim + ", theta " + theta + (interleaved ? ", interleaved" : "") + "]";
    }
}
