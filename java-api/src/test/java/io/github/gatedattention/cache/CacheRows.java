package io.github.gatedattention.cache;

import io.github.gatedattention.DataType;
import io.github.gatedattention.KvCache;
import io.github.gatedattention.Scales;
import io.github.gatedattention.Sequences;
import io.github.gatedattention.Tensor;
import java.lang.foreign.Arena;
import java.util.List;
import org.jspecify.annotations.Nullable;

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

    /** Rows as a cache of some type keeps them, in tensors of their own; scales of I8 alone. */
    record Kept(Tensor k, Tensor v, @Nullable Scales scales) {}

    /** These tokens as one sequence, {@code [1, n, heads, dim]} each. */
    static Kept kept(Arena arena, DataType type, List<Integer> tokens, int heads, int dim, int valueDim) {
        int n = tokens.size();
        if (type != DataType.I8) {
            Tensor k = keys(arena, type, tokens, heads, dim);
            Tensor v = values(arena, type, tokens, heads, valueDim);
            return new Kept(k.reshape(1, n, heads, dim), v.reshape(1, n, heads, valueDim), null);
        }
        Tensor k = Tensor.allocate(arena, DataType.I8, 1, n, heads, dim);
        Tensor v = Tensor.allocate(arena, DataType.I8, 1, n, heads, valueDim);
        Tensor kScales = Tensor.allocate(arena, DataType.F32, 1, n, heads);
        Tensor vScales = Tensor.allocate(arena, DataType.F32, 1, n, heads);
        for (int t = 0; t < n; t++) {
            for (int h = 0; h < heads; h++) {
                float scale = keyScale(tokens.get(t), h, dim);
                kScales.setFloat(scale, 0, t, h);
                for (int d = 0; d < dim; d++) {
                    k.setInt(number(key(tokens.get(t), h * dim + d), scale), 0, t, h, d);
                }
                scale = valueScale(tokens.get(t), h, valueDim);
                vScales.setFloat(scale, 0, t, h);
                for (int d = 0; d < valueDim; d++) {
                    v.setInt(number(value(tokens.get(t), h * valueDim + d), scale), 0, t, h, d);
                }
            }
        }
        return new Kept(k, v, new Scales(kScales, vScales));
    }

    private static int number(float x, float scale) {
        return (int) Math.rint(x / scale);
    }

    static float keyScale(int token, int h, int dim) {
        float most = 0;
        for (int d = 0; d < dim; d++) {
            most = Math.max(most, Math.abs(key(token, h * dim + d)));
        }
        return most / 127;
    }

    static float valueScale(int token, int h, int dim) {
        float most = 0;
        for (int d = 0; d < dim; d++) {
            most = Math.max(most, Math.abs(value(token, h * dim + d)));
        }
        return most / 127;
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
        if (cache.scales() != null) {
            return holdsNumbers(cache, cache.scales(), sequences.blockTable(), tokens);
        }
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

    private static boolean holdsNumbers(KvCache cache, Scales scales, Tensor table, List<Integer> tokens) {
        Tensor keys = cache.keys();
        Tensor values = cache.values();
        int pageSize = (int) keys.dim(1);
        int heads = (int) keys.dim(2);
        int dim = (int) keys.dim(3);
        int valueDim = (int) values.dim(3);
        for (int t = 0; t < tokens.size(); t++) {
            int token = tokens.get(t);
            int page = table.getInt(0, t / pageSize);
            int row = t % pageSize;
            for (int h = 0; h < heads; h++) {
                float scale = keyScale(token, h, dim);
                boolean same = scales.keys().getFloat(page, row, h) == scale;
                for (int d = 0; d < dim; d++) {
                    same &= keys.getInt(page, row, h, d) == number(key(token, h * dim + d), scale);
                }
                scale = valueScale(token, h, valueDim);
                same &= scales.values().getFloat(page, row, h) == scale;
                for (int d = 0; d < valueDim; d++) {
                    same &= values.getInt(page, row, h, d) == number(value(token, h * valueDim + d), scale);
                }
                if (!same) {
                    return false;
                }
            }
        }
        return true;
    }
}
