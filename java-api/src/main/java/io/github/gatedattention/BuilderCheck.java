package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** Checks what the builders of this package are given. */
final class BuilderCheck {
    private static final int MIN_HEAD_DIM = 8;
    private static final int MAX_HEAD_DIM = 512;
    private static final int MAX_THREADS = 1024;
    private static final int MAX_HEADS = 1 << 20;

    private BuilderCheck() {}

    static void heads(int queryHeads, int keyValueHeads) {
        heads("queryHeads", queryHeads);
        heads("keyValueHeads", keyValueHeads);
        if (queryHeads % keyValueHeads != 0) {
            throw new IllegalArgumentException(
                    "queryHeads is " + queryHeads + ", which is no multiple of keyValueHeads, " + keyValueHeads);
        }
    }

    static void heads(String name, int heads) {
        if (heads < 1 || heads > MAX_HEADS) {
            throw new IllegalArgumentException(name + " is " + heads + ", but must be 1 to " + MAX_HEADS);
        }
    }

    static void dims(int headDim, int valueHeadDim) {
        dim("headDim", headDim);
        dim("valueHeadDim", valueHeadDim);
    }

    private static void dim(String name, int dim) {
        if (dim < MIN_HEAD_DIM || dim > MAX_HEAD_DIM || dim % MIN_HEAD_DIM != 0) {
            throw new IllegalArgumentException(name + " is " + dim + ", but must be a multiple of " + MIN_HEAD_DIM
                    + " from " + MIN_HEAD_DIM + " to " + MAX_HEAD_DIM);
        }
    }

    static void floating(DataType dataType) {
        if (!dataType.isFloating()) {
            throw new IllegalArgumentException("dataType is " + dataType + ", but must be F32, BF16 or F16");
        }
    }

    /** How many threads a call may use: as given, else as many as there are processors. */
    static int workers(boolean given, int threads) {
        int workers =
                given ? threads : Math.min(MAX_THREADS, Runtime.getRuntime().availableProcessors());
        if (workers < 1 || workers > MAX_THREADS) {
            throw new IllegalArgumentException("threads is " + workers + ", but must be 1 to " + MAX_THREADS);
        }
        return workers;
    }

    /** Where to compute: as given, else where it is fastest. */
    static Backend available(@Nullable Backend given) {
        Backend backend = given != null ? given : Backend.best();
        String reason = backend.unavailableReason();
        if (reason != null) {
            throw new GatedAttentionException(
                    backend instanceof CudaBackend ? Status.UNAVAILABLE : Status.UNSUPPORTED,
                    "backend " + backend + " is not available: " + reason + "; Backend.java() works everywhere");
        }
        return backend;
    }
}
