package io.github.gatedattention.random;

import io.github.gatedattention.Activation;
import io.github.gatedattention.Combination;
import io.github.gatedattention.DataType;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Expected;
import io.github.gatedattention.reference.Reference;
import io.github.gatedattention.reference.Setting;
import java.util.Arrays;
import java.util.SplittableRandom;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/** A call drawn from a seed: options, extents and values. The same seed gives the same case on any machine. */
final class RandomCase {
    private static final int[] ODD_LENGTHS = {
        1, 2, 3, 7, 8, 15, 16, 17, 31, 33, 64, 65, 127, 128, 129, 255, 257, 300, 700
    };
    private static final int[] COMMON_DIMS = {8, 16, 24, 64, 96, 128, 192, 256};
    private static final DataType[] FLOATING = {DataType.F32, DataType.BF16, DataType.F16};
    private static final int OUTLYING_CHANNELS = 8;
    private static final long MOST_PRODUCTS = 1_500_000;

    final long seed;
    final DataType type;
    final Setting setting;
    final DoubleTensor q;
    final DoubleTensor k;
    final DoubleTensor v;
    /** The type that k and v are stored in. */
    final DataType keyType;
    /** Of I8: what is stored; k and v are what that stands for. */
    final @Nullable Quantized quantized;

    final @Nullable DoubleTensor gate;
    final DataType gateType;
    final @Nullable DoubleTensor normWeight;
    final DataType normWeightType;
    final @Nullable DoubleTensor sink;
    final DataType sinkType;
    final int @Nullable [] keyLengths;
    final boolean outIsQ;
    final boolean outIsGate;
    final int threads;

    private final RandomGenerator random;

    /** Whole numbers and their scales, a scale per row. */
    record Quantized(DoubleTensor k, DoubleTensor kScales, DoubleTensor v, DoubleTensor vScales) {}

    RandomCase(long seed) {
        this(seed, MOST_PRODUCTS, true);
    }

    /**
     * A case with gradients: keys and values have the type of the queries.
     *
     * @param mostProducts of an element of q or v at most, for a reference that takes longer for each
     */
    static RandomCase withGradients(long seed, long mostProducts) {
        return new RandomCase(seed, mostProducts, false);
    }

    private RandomCase(long seed, long mostProducts, boolean anyKeyType) {
        this.seed = seed;
        random = new SplittableRandom(seed);
        type = pick(FLOATING);
        int batch;
        int seqQ;
        int seqK;
        int headsKv;
        int headsQ;
        int dim;
        int dimV;
        do {
            batch = 1 + random.nextInt(3);
            seqQ = random.nextInt(3) == 0 ? 1 : length();
            seqK = length();
            headsKv = 1 + random.nextInt(3);
            headsQ = headsKv * (1 + random.nextInt(random.nextBoolean() ? 2 : 9));
            dim = dimension();
            dimV = random.nextInt(3) > 0 ? dim : dimension();
        } while ((long) batch * seqQ * seqK * headsQ * (dim + dimV) > mostProducts);

        setting = randomSetting(dim);
        double spread = random.nextInt(8) == 0 ? 6 : 1;
        double mean = random.nextInt(8) == 0 ? random.nextDouble() / 2 : 0;
        double outlying = random.nextInt(8) == 0 ? 2 * random.nextDouble() : 0;
        q = withOutliers(normal(mean, spread, batch, seqQ, headsQ, dim), outlying)
                .rounded(type);
        keyType = anyKeyType ? keyType() : type;
        DataType finer = keyType == DataType.I8 ? DataType.F32 : keyType;
        k = withOutliers(normal(mean, spread, batch, seqK, headsKv, dim), outlying)
                .rounded(finer);
        v = normal(random.nextInt(4) == 0 ? random.nextGaussian() : 0, 1, batch, seqK, headsKv, dimV)
                .rounded(finer);
        keyLengths = random.nextInt(3) == 0 ? lengths(batch, seqK) : null;
        hideUnseenKeys();
        quantized = keyType == DataType.I8 ? quantize() : null;

        gateType = pick(FLOATING);
        gate = setting.gated() ? randomGate(batch, seqQ, headsQ, dimV) : null;
        normWeightType = pick(FLOATING);
        normWeight = setting.pre() == Setting.Pre.RMS_NORM && random.nextBoolean()
                ? normal(0, 1, 1, 1, sometimesOne(headsQ), sometimesOne(dimV)).rounded(normWeightType)
                : null;
        outIsQ = dim == dimV && random.nextInt(20) == 0;
        outIsGate = !outIsQ
                && gate != null
                && gateType == type
                && Arrays.equals(gate.shape(), new int[] {batch, seqQ, headsQ, dimV})
                && random.nextInt(4) == 0;
        threads = 1 + random.nextInt(3);
        sinkType = pick(FLOATING);
        // Rounding errors that all scores have in common cancel, but against a sink: beside scores around 100 they
        // ask for more than f32 gives, as docs/operator.md says.
        sink = spread == 1 && random.nextInt(4) == 0
                ? normal(0, new double[] {1, 5, 30}[random.nextInt(3)], 1, 1, 1, sometimesOne(headsQ))
                        .rounded(sinkType)
                : null;
    }

    /** The result in float64 with its bounds. */
    Expected expected() {
        return Reference.of(setting, type, q, k, v)
                .gate(gate)
                .normWeight(normWeight)
                .sink(sink)
                .keyLengths(keyLengths)
                .compute();
    }

    /** Randomness for what does not change the result: layouts and the way of calling. */
    RandomGenerator layoutRandom() {
        return new SplittableRandom(~seed);
    }

    private Setting randomSetting(int dim) {
        float scale = (float) (1 / Math.sqrt(dim));
        if (random.nextInt(6) == 0) {
            scale *= (float) (random.nextGaussian() * 2);
        } else if (random.nextInt(40) == 0) {
            scale = 0;
        }
        Setting.Pre pre = random.nextBoolean() ? Setting.Pre.NONE : pick(Setting.Pre.values());
        float eps = new float[] {1e-6f, 1e-5f, 1e-3f, 0}[random.nextInt(4)];
        boolean gated = random.nextInt(5) > 0;
        boolean window = random.nextInt(4) == 0;
        return new Setting(
                pre,
                eps,
                gated,
                gated && random.nextInt(3) == 0,
                pick(Activation.values()),
                random.nextInt(3) == 0 ? Combination.ADD : Combination.MULTIPLY,
                random.nextInt(5) == 0,
                random.nextBoolean(),
                window ? side() : -1,
                window ? side() : -1,
                scale,
                softcap());
    }

    /** From a generator of its own: what else there is to a case does not change with it. */
    private float softcap() {
        RandomGenerator own = new SplittableRandom(seed * 3 + 1);
        return own.nextInt(4) == 0 ? new float[] {1, 5, 20, 50, 1000}[own.nextInt(5)] : 0;
    }

    /** Likewise: keys and values as q, narrower, or whole numbers. */
    private DataType keyType() {
        RandomGenerator own = new SplittableRandom(seed * 5 + 2);
        return switch (own.nextInt(8)) {
            case 0, 1 -> DataType.I8;
            case 2 -> type == DataType.F32 ? DataType.BF16 : type;
            case 3 -> type == DataType.F32 ? DataType.F16 : type;
            default -> type;
        };
    }

    private Quantized quantize() {
        RandomGenerator own = new SplittableRandom(seed * 7 + 3);
        DoubleTensor kScales = scales(k);
        DoubleTensor vScales = scales(v);
        return new Quantized(numbers(own, k, kScales), kScales, numbers(own, v, vScales), vScales);
    }

    /** The rows' largest magnitudes over 127, as floats. */
    private static DoubleTensor scales(DoubleTensor rows) {
        int dim = rows.shape()[3];
        DoubleTensor scales = DoubleTensor.zeros(1, rows.shape()[0], rows.shape()[1], rows.shape()[2]);
        for (int row = 0; row < scales.values().length; row++) {
            double most = 0;
            for (int d = 0; d < dim; d++) {
                most = Math.max(most, Math.abs(rows.values()[row * dim + d]));
            }
            scales.values()[row] = (float) (most / 127);
        }
        return scales;
    }

    /** Rounds a tensor to its scales in place; gives the whole numbers, anything where a row is hidden. */
    private static DoubleTensor numbers(RandomGenerator own, DoubleTensor rows, DoubleTensor scales) {
        int dim = rows.shape()[3];
        DoubleTensor numbers = DoubleTensor.zeros(rows.shape());
        for (int n = 0; n < numbers.values().length; n++) {
            double scale = scales.values()[n / dim];
            double number = Math.clamp(Math.rint(rows.values()[n] / scale), -127, 127);
            numbers.values()[n] = Double.isNaN(number) ? own.nextInt(-128, 128) : number;
            rows.values()[n] = numbers.values()[n] * scale;
        }
        return numbers;
    }

    /** A side of the window: mostly a few keys, sometimes all, sometimes a number that would overflow when added to. */
    private long side() {
        return switch (random.nextInt(6)) {
            case 0 -> -1;
            case 1 -> Long.MAX_VALUE - random.nextInt(3);
            case 2 -> 0;
            default -> random.nextInt(random.nextBoolean() ? 8 : 150);
        };
    }

    private int length() {
        return random.nextInt(3) == 0 ? 1 + random.nextInt(150) : ODD_LENGTHS[random.nextInt(ODD_LENGTHS.length)];
    }

    private int dimension() {
        return random.nextBoolean()
                ? COMMON_DIMS[random.nextInt(COMMON_DIMS.length)]
                : 8 * (1 + random.nextInt(random.nextInt(4) == 0 ? 64 : 12));
    }

    private int sometimesOne(int extent) {
        return random.nextInt(3) == 0 ? 1 : extent;
    }

    private int[] lengths(int batch, int seqK) {
        int[] lengths = new int[batch];
        Arrays.setAll(lengths, b -> random.nextInt(seqK + 1));
        return lengths;
    }

    private DoubleTensor randomGate(int batch, int seqQ, int headsQ, int dimV) {
        boolean whole = random.nextBoolean();
        DoubleTensor scores = normal(
                0,
                2,
                whole ? batch : sometimesOne(batch),
                whole ? seqQ : sometimesOne(seqQ),
                whole ? headsQ : sometimesOne(headsQ),
                setting.headwise() ? 1 : dimV);
        double[] extremes = {0, -0.0, 30, -30, 88, -88, 104, -104, 1e-6, -1e-6};
        for (int n = random.nextInt(4) == 0 ? 8 : 0; n > 0; n--) {
            scores.values()[random.nextInt(scores.values().length)] = extremes[random.nextInt(extremes.length)];
        }
        return scores.rounded(gateType);
    }

    private DoubleTensor normal(double mean, double deviation, int... shape) {
        DoubleTensor tensor = DoubleTensor.zeros(shape);
        Arrays.setAll(tensor.values(), n -> mean + deviation * random.nextGaussian());
        return tensor;
    }

    /**
     * Gives the last channels a mean of their own, as models have it in a few of them. In all channels a large mean would ask for more
     * than the error rule allows: the terms of a score then have one sign, and an f32 sum of D such terms is off by a multiple of eps amp.
     */
    private static DoubleTensor withOutliers(DoubleTensor tensor, double mean) {
        int dim = tensor.shape()[3];
        Arrays.setAll(tensor.values(), n -> tensor.values()[n] + (n % dim >= dim - OUTLYING_CHANNELS ? mean : 0));
        return tensor;
    }

    /** Keys and values that no query sees become NaN: they must not matter. */
    private void hideUnseenKeys() {
        int seqQ = q.shape()[1];
        int seqK = k.shape()[1];
        for (int b = 0; b < q.shape()[0]; b++) {
            int length = keyLengths == null ? seqK : keyLengths[b];
            // The first query stands on the lowest diagonal, the last one on key length - 1.
            long lowest = length - seqQ;
            long first = setting.windowLeft() < 0 ? 0 : lowest - Math.min(setting.windowLeft(), Integer.MAX_VALUE);
            for (int j = 0; j < seqK; j++) {
                if (j < first || j >= length) {
                    hide(k, b, j);
                    hide(v, b, j);
                }
            }
        }
    }

    private static void hide(DoubleTensor tensor, int b, int j) {
        int from = tensor.index(b, j, 0, 0);
        // A batch or sequence of extent 1 is addressed by index 0 as well, so the plain index is right for any extent.
        Arrays.fill(tensor.values(), from, from + tensor.shape()[2] * tensor.shape()[3], Double.NaN);
    }

    private <T> T pick(T[] values) {
        return values[random.nextInt(values.length)];
    }

    @Override
    public String toString() {
        return "case " + seed + ": " + type + " keys " + keyType + " q " + Arrays.toString(q.shape()) + " k "
                + Arrays.toString(k.shape())
                + " v "
                + Arrays.toString(v.shape()) + " gate "
                + (gate == null ? "none" : gateType + Arrays.toString(gate.shape()))
                + " norm weight "
                + (normWeight == null ? "none" : normWeightType + Arrays.toString(normWeight.shape()))
                + " sink " + (sink == null ? "none" : sinkType + Arrays.toString(sink.values()))
                + " key lengths " + Arrays.toString(keyLengths) + " " + setting
                + (outIsQ ? " in place of q" : outIsGate ? " in place of gate" : "") + " threads " + threads;
    }
}
