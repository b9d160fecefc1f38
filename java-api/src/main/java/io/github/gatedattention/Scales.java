package io.github.gatedattention;

import java.util.Objects;

/**
 * What the whole numbers of {@link DataType#I8} keys and values stand for: number times scale, a scale per token and head.
 *
 * <p>Both are F32 and have the axes of k and v but the last: {@code [B, Sk, Hkv]}; where keys are packed {@code [1, Sk, Hkv]};
 * where they are paged {@code [pages, page size, Hkv]}. {@link KvCache#scales} gives those of a cache.
 *
 * @param keys the scales of k
 * @param values the scales of v
 */
public record Scales(Tensor keys, Tensor values) {
    static final int TENSORS = 2;

    /**
     * Checks that both are there.
     *
     * @throws NullPointerException when one is null
     */
    public Scales {
        Objects.requireNonNull(keys, "keyScales is null");
        Objects.requireNonNull(values, "valueScales is null");
    }

    /** The tensors by number, for what is done with each of them alike. */
    Tensor tensor(int n) {
        return switch (n) {
            case 0 -> keys;
            case 1 -> values;
            default -> throw new IndexOutOfBoundsException(n);
        };
    }

    static String name(int n) {
        return switch (n) {
            case 0 -> "keyScales";
            case 1 -> "valueScales";
            default -> throw new IndexOutOfBoundsException(n);
        };
    }
}
