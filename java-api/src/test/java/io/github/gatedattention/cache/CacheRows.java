package io.github.gatedattention.cache;

import io.github.gatedattention.DataType;
import io.github.gatedattention.KvCache;
import io.github.gatedattention.Sequences;
import io.github.gatedattention.Tensor;
import java.lang.foreign.Arena;
import java.util.List;

/**
 * Tokens whose keys and values follow from a number, and their way out of a cache again: through the block table, as a kernel
 * reads them.
 */
final class CacheRows {
    private static final int KINDS = 61;

    private CacheRows() {}

    /** Element {@code n} of a token's key: small multiples of 1/16, exact in every type, different from token to token. */
    static float key(int token, int n) {
        return Math.floorMod(token * 37 + n * 11, KINDS) / 16f - 2 + (token % 4) / 16f;
    }

    static float value(int token, int n) {
        return Math.floorMod(token * 53 + n * 7, KINDS) / 16f - 1 - (token % 8) / 16f;
    }

    /** {@code [n, heads, dim]} of these tokens. */
    static Tensor keys(Arena arena, DataType type, List<Integer> tokens, int heads, int dim) {
        Tensor tensor = Tensor.allocate(arena, type, tokens.size(), heads, dim);
        putKeys(tensor, tokens);
        return tensor;
    }

    static Tensor values(Arena arena, DataType type, List<Integer> tokens, int heads, int dim) {
        Tensor tensor = Tensor.allocate(arena, type, tokens.size(), heads, dim);
        putValues(tensor, tokens);
        return tensor;
    }

    /** Writes {@code [n, heads, dim]}, whatever its strides. */
    static void putKeys(Tensor to, List<Integer> tokens) {
        for (int t = 0; t < tokens.size(); t++) {
            for (int h = 0; h < to.dim(1); h++) {
                for (int d = 0; d < to.dim(2); d++) {
                    to.setFloat(key(tokens.get(t), h * (int) to.dim(2) + d), t, h, d);
                }
            }
        }
    }

    static void putValues(Tensor to, List<Integer> tokens) {
        for (int t = 0; t < tokens.size(); t++) {
            for (int h = 0; h < to.dim(1); h++) {
                for (int d = 0; d < to.dim(2); d++) {
                    to.setFloat(value(tokens.get(t), h * (int) to.dim(2) + d), t, h, d);
                }
            }
        }
    }

    /** Whether these tokens, and no others, are what the sequence holds. */
    static boolean holds(KvCache cache, long id, List<Integer> tokens) {
        if (cache.length(id) != tokens.size()) {
            return false;
        }
        Sequences sequences = cache.sequences(id);
        if (sequences.keyLengths().getInt(0) != tokens.size()) {
            return false;
        }
        Tensor keys = cache.keys();
        Tensor values = cache.values();
        int pageSize = (int) keys.dim(1);
        for (int t = 0; t < tokens.size(); t++) {
            int page = sequences.blockTable().getInt(0, t / pageSize);
            for (int h = 0; h < keys.dim(2); h++) {
                for (int d = 0; d < keys.dim(3); d++) {
                    if (keys.getFloat(page, t % pageSize, h, d) != key(tokens.get(t), h * (int) keys.dim(3) + d)) {
                        return false;
                    }
                }
                for (int d = 0; d < values.dim(3); d++) {
                    if (values.getFloat(page, t % pageSize, h, d)
                            != value(tokens.get(t), h * (int) values.dim(3) + d)) {
                        return false;
                    }
                }
            }
        }
        return true;
    }
}
