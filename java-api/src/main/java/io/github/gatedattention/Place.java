package io.github.gatedattention;

import org.jspecify.annotations.Nullable;

/** Where memory lies, as a number: that of a CUDA device, or one of these. */
final class Place {
    /** Memory of the host. */
    static final int HOST = -1;
    /** Memory of the host that the driver has pinned: copies from and to it need not wait. */
    static final int PINNED = -2;
    /** No memory at all, only a shape. */
    static final int NOWHERE = -3;

    private Place() {}

    static boolean isDevice(int place) {
        return place >= 0;
    }

    static String describe(int place) {
        return isDevice(place) ? "cuda:" + place : "the host";
    }

    /** Refuses tensors in memory that an engine cannot reach. */
    static void check(
            Settings settings,
            Tensor q,
            Tensor k,
            Tensor v,
            @Nullable Tensor gate,
            Tensor out,
            @Nullable Tensor normWeight,
            @Nullable Sequences sequences,
            @Nullable Tensor lse,
            @Nullable Tensor sink,
            @Nullable Scales scales) {
        int place = settings.device();
        require(place, "q", q);
        require(place, "k", k);
        require(place, "v", v);
        require(place, "gate", gate);
        require(place, "out", out);
        require(place, "normWeight", normWeight);
        require(place, "lse", lse);
        require(place, "sink", sink);
        for (int n = 0; sequences != null && n < Sequences.TENSORS; n++) {
            require(place, Sequences.name(n), sequences.tensor(n));
        }
        for (int n = 0; scales != null && n < Scales.TENSORS; n++) {
            require(place, Scales.name(n), scales.tensor(n));
        }
    }

    static void check(Settings settings, MergeOperands o) {
        int place = settings.device();
        require(place, "partialOut", o.partialOut());
        require(place, "partialLse", o.partialLse());
        require(place, "gate", o.gate());
        require(place, "normWeight", o.normWeight());
        require(place, "sink", o.sink());
        require(place, "out", o.out());
        require(place, "lse", o.lse());
    }

    static void check(Settings settings, BackwardOperands o) {
        for (int n = 0; n < BackwardOperands.TENSORS; n++) {
            require(settings.device(), BackwardOperands.name(n), o.tensor(n));
        }
    }

    /** For what computes on the CPU alone. */
    static void requireHost(String name, @Nullable Tensor tensor) {
        require(HOST, name, tensor);
    }

    /** Pinned memory is the host's, and a shape without memory fits everywhere. */
    static void require(int place, String name, @Nullable Tensor tensor) {
        if (tensor == null) {
            return;
        }
        int actual = tensor.place();
        if (actual == place || actual == NOWHERE || (!isDevice(actual) && !isDevice(place))) {
            return;
        }
        throw new IllegalArgumentException(name + " is in memory of " + describe(actual)
                + ", but this call computes on " + (isDevice(place) ? describe(place) : "the CPU")
                + "; copy it with CudaStream.copy into a tensor of "
                + (isDevice(place) ? "CudaMemory.allocate" : "Tensor.allocate"));
    }
}
