package io.github.gatedattention.cli.demo;

import io.github.gatedattention.DataType;

/**
 * How far a result is from float64 on the same inputs.
 *
 * @param largest the largest absolute difference of an element
 * @param share the largest share of the allowed error that an element uses; up to 1 is right
 * @param relative the length of the difference over the length of the exact result
 */
record Accuracy(double largest, double share, double relative) {
    private static final double EPS_F32 = 0x1p-23;

    /** Collects elements. */
    static final class Builder {
        private final DataType type;
        private double largest;
        private double share;
        private double differences;
        private double squares;

        /** Elements of a result of this type. */
        Builder(DataType type) {
            this.type = type;
        }

        /** Adds an element. */
        void add(double actual, ExactRow row, int element) {
            double difference = Math.abs(actual - row.out(element));
            largest = Math.max(largest, difference);
            share = Math.max(share, difference / allowed(row, element));
            differences += difference * difference;
            squares += row.out(element) * row.out(element);
            if (Double.isNaN(actual)) {
                share = Double.POSITIVE_INFINITY;
            }
        }

        /**
         * The error that is allowed: a few roundings of the float32 sums, in proportion to the magnitudes that were added, and of
         * 16-bit types the rounding of the probabilities and of the result.
         */
        private double allowed(ExactRow row, int element) {
            double magnitude = row.magnitude(element);
            double sums = EPS_F32 * (8 + row.amplitude() + Math.sqrt(row.keys()) / 8) * magnitude;
            double eps = switch (type) {
                case BF16 -> 0x1p-9;
                case F16 -> 0x1p-12;
                default -> 0;
            };
            double rounding = type == DataType.F32
                    ? 2 * EPS_F32 * Math.abs(row.out(element))
                    : 3 * eps * magnitude + 2 * eps * Math.abs(row.out(element));
            return sums + rounding;
        }

        /** The accuracy of all elements. */
        Accuracy build() {
            return new Accuracy(largest, share, Math.sqrt(differences / squares));
        }
    }

    /** Whether every element is within the allowed error. */
    boolean isRight() {
        return share <= 1;
    }
}
