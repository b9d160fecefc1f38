package io.github.gatedattention;

import io.github.gatedattention.bindings.generated.ga_error;
import io.github.gatedattention.bindings.generated.ga_measure_params;
import io.github.gatedattention.bindings.generated.ga_value_statistics;
import io.github.gatedattention.bindings.generated.ga_values_params;
import io.github.gatedattention.bindings.generated.gated_attention_h;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BiFunction;
import org.jspecify.annotations.Nullable;

/** Measurements by native code: structs of one call each, since none is on the way of a token. */
final class NativeMeasures {
    private NativeMeasures() {}

    /** The operands were checked; {@code failure} makes an exception of a status and the error's struct. */
    static AttentionStatistics measure(
            long runtime,
            Settings settings,
            Operands o,
            AttentionProbe probe,
            BiFunction<Integer, MemorySegment, RuntimeException> failure) {
        try (Arena arena = Arena.ofConfined()) {
            long[] bounds = probe.bounds();
            int ranges = bounds.length / 2;
            int rows = MeasureLoops.mapRows(o, probe);
            int columns = MeasureLoops.mapColumns(o, probe);
            int sequences = Math.toIntExact(SequenceCheck.batch(o.q(), o.sequences()));
            int heads = settings.queryHeads();
            long all = (long) sequences * heads;
            MemorySegment attention = AttentionStruct.allocate(arena, settings);
            AttentionStruct.putMeasured(attention, o);
            MemorySegment share = arena.allocate(ValueLayout.JAVA_DOUBLE, Math.max(1, all * ranges));
            MemorySegment entropy = arena.allocate(ValueLayout.JAVA_DOUBLE, Math.max(1, all));
            MemorySegment map = arena.allocate(
                    ValueLayout.JAVA_DOUBLE, Math.max(1, Math.multiplyExact(all, (long) rows * columns)));
            MemorySegment counted = arena.allocate(ValueLayout.JAVA_LONG, Math.max(1, sequences));
            MemorySegment params = ga_measure_params.allocate(arena);
            ga_measure_params.struct_size(params, ga_measure_params.sizeof());
            ga_measure_params.attention(params, attention);
            ga_measure_params.ranges(params, arena.allocateFrom(ValueLayout.JAVA_LONG, bounds));
            ga_measure_params.range_count(params, ranges);
            ga_measure_params.map_cells(params, probe.mapCells());
            ga_measure_params.share(params, share);
            ga_measure_params.entropy(params, probe.entropy() ? entropy : MemorySegment.NULL);
            ga_measure_params.map(params, map);
            ga_measure_params.rows(params, counted);
            ga_measure_params.share_count(params, share.byteSize() / Double.BYTES);
            ga_measure_params.entropy_count(params, entropy.byteSize() / Double.BYTES);
            ga_measure_params.map_count(params, map.byteSize() / Double.BYTES);
            ga_measure_params.rows_count(params, counted.byteSize() / Long.BYTES);
            MemorySegment error = ga_error.allocate(arena);
            int status = gated_attention_h.ga_attention_measure(
                    runtime,
                    params,
                    error,
                    segment(o.q()),
                    segment(o.k()),
                    segment(o.lse()),
                    segment(o.sequences(), 0),
                    segment(o.sequences(), 1),
                    segment(o.sequences(), 2),
                    segment(o.sequences(), 3),
                    segment(o.sequences(), 4),
                    segment(o.sequences(), 5),
                    segment(o.scales() == null ? null : o.scales().keys()));
            if (status != gated_attention_h.GA_OK()) {
                throw failure.apply(status, error);
            }
            List<AttentionStatistics.OfSequence> result = new ArrayList<>();
            for (int b = 0; b < sequences; b++) {
                List<AttentionStatistics.OfHead> ofHeads = new ArrayList<>();
                for (int h = 0; h < heads; h++) {
                    long head = (long) b * heads + h;
                    List<Double> shares = new ArrayList<>();
                    for (int n = 1; n < ranges; n++) {
                        shares.add(share.getAtIndex(ValueLayout.JAVA_DOUBLE, head * ranges + n));
                    }
                    ofHeads.add(new AttentionStatistics.OfHead(
                            share.getAtIndex(ValueLayout.JAVA_DOUBLE, head * ranges),
                            shares,
                            probe.entropy() ? entropy.getAtIndex(ValueLayout.JAVA_DOUBLE, head) : Double.NaN,
                            rows == 0 ? null : map(map, head, rows, columns)));
                }
                result.add(new AttentionStatistics.OfSequence(counted.getAtIndex(ValueLayout.JAVA_LONG, b), ofHeads));
            }
            return new AttentionStatistics(result);
        }
    }

    private static AttentionMap map(MemorySegment maps, long head, int rows, int columns) {
        long bytes = (long) rows * columns * Double.BYTES;
        return new AttentionMap(rows, columns, maps.asSlice(head * bytes, bytes).toArray(ValueLayout.JAVA_DOUBLE));
    }

    /** The values were checked. */
    static ValueStatistics measure(
            long runtime,
            Tensor values,
            ValueProbe probe,
            BiFunction<Integer, MemorySegment, RuntimeException> failure) {
        try (Arena arena = Arena.ofConfined()) {
            int heads = (int) MeasureCheck.extent(values, 2);
            MemorySegment statistics = ga_value_statistics.allocateArray(heads, arena);
            MemorySegment histogram = arena.allocate(ValueLayout.JAVA_LONG, Math.max(1, (long) heads * probe.bins()));
            MemorySegment params = ga_values_params.allocate(arena);
            ga_values_params.struct_size(params, ga_values_params.sizeof());
            ga_values_params.batch(params, MeasureCheck.extent(values, 0));
            ga_values_params.seq(params, MeasureCheck.extent(values, 1));
            ga_values_params.heads(params, heads);
            ga_values_params.dim(params, (int) MeasureCheck.extent(values, 3));
            ga_values_params.activation(params, AbiCodes.of(probe.activation()));
            ga_values_params.bins(params, probe.bins());
            ga_values_params.low(params, probe.low());
            ga_values_params.high(params, probe.high());
            ga_values_params.below(params, ValueStatistics.BELOW);
            ga_values_params.above(params, ValueStatistics.ABOVE);
            ga_values_params.small(params, ValueStatistics.SMALL);
            ga_values_params.smaller(params, ValueStatistics.SMALLER);
            AttentionStruct.put(
                    params,
                    ga_values_params.values$offset(),
                    values,
                    MeasureCheck.stride(values, 0),
                    MeasureCheck.stride(values, 1),
                    MeasureCheck.stride(values, 2),
                    MeasureCheck.stride(values, 3));
            ga_values_params.statistics(params, statistics);
            ga_values_params.histogram(params, histogram);
            ga_values_params.statistics_count(params, heads);
            ga_values_params.histogram_count(params, histogram.byteSize() / Long.BYTES);
            MemorySegment error = ga_error.allocate(arena);
            int status = gated_attention_h.ga_measure_values(runtime, params, error, values.segment());
            if (status != gated_attention_h.GA_OK()) {
                throw failure.apply(status, error);
            }
            List<ValueTally> tallies = new ArrayList<>();
            for (int h = 0; h < heads; h++) {
                tallies.add(tally(ga_value_statistics.asSlice(statistics, h), histogram, h, probe.bins()));
            }
            return ValueStatistics.of(tallies);
        }
    }

    private static ValueTally tally(MemorySegment of, MemorySegment histogram, int head, int bins) {
        ValueTally tally = new ValueTally(bins);
        tally.count = ga_value_statistics.count(of);
        tally.nans = ga_value_statistics.nans(of);
        tally.below = ga_value_statistics.below(of);
        tally.above = ga_value_statistics.above(of);
        tally.small = ga_value_statistics.small(of);
        tally.smaller = ga_value_statistics.smaller(of);
        double deviation = ga_value_statistics.standard_deviation(of);
        tally.mean = ga_value_statistics.mean(of);
        tally.squares = deviation * deviation * tally.count;
        tally.min = ga_value_statistics.min(of);
        tally.max = ga_value_statistics.max(of);
        tally.largest = ga_value_statistics.largest(of);
        for (int n = 0; n < bins; n++) {
            tally.bins[n] = histogram.getAtIndex(ValueLayout.JAVA_LONG, (long) head * bins + n);
        }
        return tally;
    }

    private static MemorySegment segment(@Nullable Sequences sequences, int n) {
        return segment(sequences == null ? null : sequences.tensor(n));
    }

    private static MemorySegment segment(@Nullable Tensor tensor) {
        return tensor == null ? MemorySegment.NULL : tensor.segment();
    }
}
