package io.github.gatedattention;

import java.util.Arrays;

/** Counts the values of one head in plain Java. */
final class ValueLoops {
    /** Values of a row at a time. */
    private static final int RUN = 512;

    private final Tensor values;
    private final ValueProbe probe;
    private final float[] run = new float[RUN];

    ValueLoops(Tensor values, ValueProbe probe) {
        this.values = values;
        this.probe = probe;
    }

    ValueTally run(long head) {
        ValueTally tally = new ValueTally(probe.bins());
        long dim = MeasureCheck.extent(values, 3);
        boolean shared = MeasureCheck.stride(values, 3) == 0;
        for (long b = 0; b < MeasureCheck.extent(values, 0); b++) {
            for (long i = 0; i < MeasureCheck.extent(values, 1); i++) {
                long row = b * MeasureCheck.stride(values, 0)
                        + i * MeasureCheck.stride(values, 1)
                        + head * MeasureCheck.stride(values, 2);
                for (long d = 0; d < dim; d += RUN) {
                    int n = (int) Math.min(RUN, dim - d);
                    if (shared) {
                        Arrays.fill(run, 0, n, Elements.get(values.dataType(), values.segment(), row));
                    } else {
                        Elements.load(values.dataType(), values.segment(), row + d, run, 0, n);
                    }
                    for (int x = 0; x < n; x++) {
                        run[x] = probe.activation().apply(run[x]);
                    }
                    tally.add(probe, run, n);
                }
            }
        }
        return tally;
    }
}
