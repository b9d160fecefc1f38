package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** The number of keys in use per sequence. */
final class KeyLengths {
    private KeyLengths() {}

    /** Reads them; without a tensor every sequence uses all {@code seqK} keys. Refuses lengths outside 0 to seqK. */
    static long[] read(@Nullable Tensor lengths, long batch, long seqK) {
        long[] values = new long[Math.toIntExact(batch)];
        read(lengths, values, values.length, seqK);
        return values;
    }

    /** The same into an array that is at least as long as the batch. */
    static void read(@Nullable Tensor lengths, long[] values, int batch, long seqK) {
        for (int b = 0; b < batch; b++) {
            values[b] = lengths == null ? seqK : Elements.getInt(lengths.segment(), b * lengths.stride(0));
            if (values[b] < 0 || values[b] > seqK) {
                throw new IllegalArgumentException(
                        "keyLengths[" + b + "] is " + values[b] + ", but must be 0 to " + seqK + ", the keys of k");
            }
        }
    }
}
