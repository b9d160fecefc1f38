package io.github.gatedattention;

/** Checks that keys and values to be appended fit a cache and each other. */
final class CacheCheck {
    private CacheCheck() {}

    /** One sequence: {@code [n, Hkv, D]} or {@code [1, n, Hkv, D]}. */
    static void one(CacheMemory memory, Tensor k, Tensor v) {
        tokens(memory, "k", k, memory.keyDim);
        tokens(memory, "v", v, memory.valueDim);
        single("k", k);
        single("v", v);
        sameTokens(k, v);
    }

    /** As many tokens for each sequence: {@code [B, n, Hkv, D]}. */
    static void batch(CacheMemory memory, int sequences, Tensor k, Tensor v) {
        tokens(memory, "k", k, memory.keyDim);
        tokens(memory, "v", v, memory.valueDim);
        perSequence("k", k, sequences);
        perSequence("v", v, sequences);
        sameTokens(k, v);
    }

    /** {@code counts[n]} tokens for sequence n, one sequence after the other; together all of k. */
    static void counts(int[] counts, int sequences, Tensor k) {
        long sum = 0;
        for (int n = 0; n < sequences; n++) {
            if (counts[n] < 0) {
                throw new IllegalArgumentException("counts[" + n + "] is " + counts[n] + ", but must be at least 0");
            }
            sum += counts[n];
        }
        int axis = k.rank() - 3;
        if (sum != k.dim(axis)) {
            throw new IllegalArgumentException(
                    "counts has " + sum + " tokens in all, but k has " + k.dim(axis) + " on axis " + axis);
        }
    }

    /** What writes to a cache must have been built like it. */
    static void likeCache(String name, Object own, Object ofCache) {
        if (!own.equals(ofCache)) {
            throw new IllegalArgumentException(name + " is " + own + ", but the cache has " + ofCache);
        }
    }

    private static void tokens(CacheMemory memory, String name, Tensor tensor, int dim) {
        Place.requireHost(name, tensor);
        int rank = tensor.rank();
        if (rank != 3 && rank != 4) {
            throw new IllegalArgumentException(name + " has " + rank
                    + " axes, but must have 3 (tokens, heads, elements) or 4 (sequences before them)");
        }
        if (!tensor.dataType().isFloating()) {
            throw new IllegalArgumentException(
                    name + " is " + tensor.dataType() + ", but tokens are appended as F32, BF16 or F16");
        }
        if (tensor.dim(rank - 2) != memory.heads) {
            throw new IllegalArgumentException(name + " has " + tensor.dim(rank - 2) + " heads on axis " + (rank - 2)
                    + ", but keyValueHeads is " + memory.heads);
        }
        if (tensor.dim(rank - 1) != dim) {
            throw new IllegalArgumentException(name + " has " + tensor.dim(rank - 1) + " elements on axis " + (rank - 1)
                    + ", but " + (name.equals("k") ? "headDim" : "valueHeadDim") + " is " + dim);
        }
        if (tensor.stride(rank - 1) != 1) {
            throw new IllegalArgumentException(name + " has stride " + tensor.stride(rank - 1) + " on axis "
                    + (rank - 1) + ", but the last axis must be contiguous, with stride 1");
        }
        if (memory.overlaps(tensor)) {
            throw new IllegalArgumentException(
                    name + " lies in the cache itself, but tokens are appended from other memory; copy them first");
        }
    }

    private static void single(String name, Tensor tensor) {
        if (tensor.rank() == 4 && tensor.dim(0) != 1) {
            throw new IllegalArgumentException(
                    name + " has " + tensor.dim(0) + " sequences on axis 0, but here it must have 1");
        }
    }

    private static void perSequence(String name, Tensor tensor, int sequences) {
        if (tensor.rank() != 4) {
            throw new IllegalArgumentException(name + " has " + tensor.rank()
                    + " axes, but for several sequences must have 4; give counts for packed tokens");
        }
        if (tensor.dim(0) != sequences) {
            throw new IllegalArgumentException(
                    name + " has " + tensor.dim(0) + " sequences on axis 0, but ids has " + sequences);
        }
    }

    private static void sameTokens(Tensor k, Tensor v) {
        long tokens = k.dim(k.rank() - 3);
        if (v.dim(v.rank() - 3) != tokens) {
            throw new IllegalArgumentException(
                    "v has " + v.dim(v.rank() - 3) + " tokens on axis " + (v.rank() - 3) + ", but k has " + tokens);
        }
    }
}
