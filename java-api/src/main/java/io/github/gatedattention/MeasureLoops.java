package io.github.gatedattention;

import java.util.ArrayList;
import java.util.List;
import org.jspecify.annotations.Nullable;

/**
 * Measures attention of one head from its saved log-sum-exps in plain Java: {@code p = exp(score - lse)}, of those keys alone that
 * are asked for. One task is one head of one sequence; its queries are taken in order, so the results depend on nothing else.
 */
final class MeasureLoops {
    private final Settings settings;
    private final Operands operands;
    private final Tensor lse;
    private final @Nullable Tensor keyScales;
    private final AttentionProbe probe;
    private final SequenceTable sequences;
    private final long[] bounds;
    private final int mapRows;
    private final int mapColumns;

    private final float[] query;
    private final float[] key;

    /** The operands were checked. */
    MeasureLoops(Settings settings, Operands operands, Tensor lse, AttentionProbe probe, SequenceTable sequences) {
        this.settings = settings;
        this.operands = operands;
        this.lse = lse;
        this.keyScales = operands.scales() == null ? null : operands.scales().keys();
        this.probe = probe;
        this.sequences = sequences;
        this.bounds = probe.bounds();
        this.mapRows = mapRows(operands, probe);
        this.mapColumns = mapColumns(operands, probe);
        this.query = new float[settings.headDim()];
        this.key = new float[settings.headDim()];
    }

    static int mapRows(Operands o, AttentionProbe probe) {
        long keys = SequenceCheck.mostKeys(o.k(), o.sequences());
        return keys == 0 ? 0 : (int) Math.min(o.q().dim(1), probe.mapCells());
    }

    static int mapColumns(Operands o, AttentionProbe probe) {
        return (int) Math.min(SequenceCheck.mostKeys(o.k(), o.sequences()), probe.mapCells());
    }

    /** How many queries of a sequence see a key. */
    static long countedQueries(Settings settings, SequenceTable sequences, int b) {
        long queries = sequences.queries(b);
        long keys = sequences.keys(b);
        long counted = 0;
        for (long i = 0; i < queries; i++) {
            counted +=
                    settings.mask().firstKey(i, queries, keys) < settings.mask().endKey(i, queries, keys) ? 1 : 0;
        }
        return counted;
    }

    AttentionStatistics.OfHead run(int b, int h) {
        double[] shares = new double[bounds.length / 2];
        double entropy = 0;
        long queries = sequences.queries(b);
        long keys = sequences.keys(b);
        int rows = (int) Math.min(mapRows, queries);
        int columns = (int) Math.min(mapColumns, keys);
        double[] cells = new double[mapRows * mapColumns];
        long[] counted = new long[mapRows];
        long count = 0;
        boolean all = probe.entropy() || mapRows > 0;
        for (long i = 0; i < queries; i++) {
            long lo = Math.max(0, settings.mask().firstKey(i, queries, keys));
            long hi = settings.mask().endKey(i, queries, keys);
            if (lo >= hi) {
                continue;
            }
            count++;
            double logSumExp = load(b, h, i);
            int row = rows > 0 ? (int) (i * rows / queries) : 0;
            if (rows > 0) {
                counted[row]++;
            }
            for (int n = 0; !all && n < shares.length; n++) {
                for (long j = Math.max(lo, bounds[2 * n]); j < Math.min(hi, bounds[2 * n + 1]); j++) {
                    shares[n] += Math.exp(score(b, h, j) - logSumExp);
                }
            }
            for (long j = lo; all && j < hi; j++) {
                double log = score(b, h, j) - logSumExp;
                double p = Math.exp(log);
                entropy -= p == 0 ? 0 : p * log;
                for (int n = 0; n < shares.length; n++) {
                    shares[n] += j >= bounds[2 * n] && j < bounds[2 * n + 1] ? p : 0;
                }
                if (rows > 0) {
                    cells[row * mapColumns + (int) (j * columns / keys)] += p;
                }
            }
        }
        for (int n = 0; n < cells.length; n++) {
            cells[n] /= Math.max(1, counted[n / mapColumns]);
        }
        return result(shares, entropy, count, mapRows == 0 ? null : new AttentionMap(mapRows, mapColumns, cells));
    }

    private AttentionStatistics.OfHead result(double[] sums, double entropy, long count, @Nullable AttentionMap map) {
        List<Double> shares = new ArrayList<>();
        for (int n = 1; n < sums.length; n++) {
            shares.add(count == 0 ? 0 : sums[n] / count);
        }
        return new AttentionStatistics.OfHead(
                count == 0 ? 0 : sums[0] / count,
                shares,
                !probe.entropy() ? Double.NaN : count == 0 ? 0 : entropy / count,
                map);
    }

    /** Loads the query, and returns its log-sum-exp. */
    private double load(int b, int h, long i) {
        Tensor q = operands.q();
        int entry = sequences.queryEntry(b);
        long row = sequences.queryRow(b, i);
        long at = entry * q.stride(0) + row * q.stride(1) + h * q.stride(2);
        Elements.load(q.dataType(), q.segment(), at, query, 0, query.length);
        long lseAt = entry * lse.stride(0) + h * lse.stride(1) + row * lse.stride(2);
        return Elements.get(DataType.F32, lse.segment(), lseAt);
    }

    private double score(int b, int h, long j) {
        Tensor k = operands.k();
        int keyHead = h / settings.group();
        Elements.load(k.dataType(), k.segment(), sequences.keyOffset(k, b, j, keyHead), key, 0, key.length);
        double product = 0;
        for (int d = 0; d < key.length; d++) {
            product += (double) query[d] * key[d];
        }
        if (keyScales != null) {
            product *= Elements.scale(keyScales, sequences.keyOffset(keyScales, b, j, keyHead));
        }
        double score = product * settings.scale();
        double cap = settings.softcap();
        return settings.isSoftcapped() ? cap * Math.tanh(score / cap) : score;
    }
}
