package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** The number of keys in use per sequence. */
final class KeyLengths {
    private KeyLengths() {}

    /** Reads them; without a tensor every sequence uses all {@code seqK} keys. Refuses lengths outside 0 to seqK. */
    static long[] read(@Nullable Tensor lengths, long batch, long seqK) {
        long[] values = new long[Math.toIntExact(batch)];
        for (int b = 0; b < values.length; b++) {
            values[b] = lengths == null ? seqK : lengths.getInt(b);
            if (values[b] < 0 || values[b] > seqK) {
                throw new IllegalArgumentException(
                        "keyLengths[" + b + "] is " + values[b] + ", but must be 0 to " + seqK + ", the keys of k");
            }
        }
        return values;
    }
}
