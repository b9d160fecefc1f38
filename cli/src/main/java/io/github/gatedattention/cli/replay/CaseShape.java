package io.github.gatedattention.cli.replay;

import io.github.gatedattention.DataType;
import io.github.gatedattention.cli.InputException;
import io.github.gatedattention.cli.Text;
import io.github.gatedattention.safetensors.SafetensorsTensor;
import io.github.gatedattention.safetensors.SafetensorsType;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.stream.Stream;
import org.jspecify.annotations.Nullable;

/**
 * The extents of a case, taken from q, k and v and held against every tensor.
 *
 * @param batch sequences, B; 1 when they are packed
 * @param queries queries per sequence, Sq; of all sequences when they are packed
 * @param queryHeads query heads, Hq
 * @param headDim elements of a query and a key, D
 * @param keys keys per sequence, Sk; of all sequences when they are packed, of a page when they are paged
 * @param keyValueHeads key/value heads, Hkv
 * @param valueHeadDim elements of a value, Dv
 * @param type the type of q and the result
 * @param sequences where the sequences lie
 */
record CaseShape(
        long batch,
        long queries,
        int queryHeads,
        int headDim,
        long keys,
        int keyValueHeads,
        int valueHeadDim,
        DataType type,
        CaseSequences sequences) {
    private static final List<String> NAMES = Stream.concat(
                    Stream.of("q", "k", "v", "k_scale", "v_scale", "gate", "norm_weight", "sink", "dout"),
                    CaseSequences.NAMES.stream())
            .toList();
    private static final int MAX_HEADS = 1 << 20;
    private static final int MIN_DIM = 8;
    private static final int MAX_DIM = 512;

    /** Checks names, types and shapes; its exceptions do not name the file. */
    static CaseShape of(Map<String, SafetensorsTensor> tensors) {
        for (String name : tensors.keySet()) {
            if (!NAMES.contains(name)) {
                throw new InputException(
                        "unknown tensor " + Text.quote(name) + ", allowed are " + String.join(", ", NAMES));
            }
        }
        SafetensorsTensor q = required(tensors, "q");
        SafetensorsTensor k = required(tensors, "k");
        SafetensorsTensor v = required(tensors, "v");
        rank(q, 4, "[B, Sq, Hq, D]");
        rank(k, 4, "[B, Sk, Hkv, D]");
        rank(v, 4, "[B, Sk, Hkv, Dv]");
        var shape = new CaseShape(
                q.shape()[0],
                q.shape()[1],
                heads(q),
                dim(q),
                k.shape()[1],
                heads(k),
                dim(v),
                type(q),
                CaseSequences.of(tensors, q));
        long entries = shape.sequences.keyEntries(k);
        extents(k, "the shape of q", entries, shape.keys, shape.keyValueHeads, shape.headDim);
        extents(v, "the shapes of q and k", entries, shape.keys, shape.keyValueHeads, shape.valueHeadDim);
        if (shape.queryHeads % shape.keyValueHeads != 0) {
            throw new InputException("q has " + shape.queryHeads + " heads, which is no multiple of the "
                    + shape.keyValueHeads + " heads of k");
        }
        keyType(k, q);
        if (v.dtype() != k.dtype()) {
            throw new InputException("v is " + v.dtype() + ", it must be of the type of k, " + k.dtype());
        }
        for (String name : List.of("k_scale", "v_scale")) {
            scale(tensors.get(name), name, k, entries, shape.keys, shape.keyValueHeads);
        }
        shared(tensors.get("gate"), shape.batch, shape.queries, shape.queryHeads, shape.valueHeadDim);
        shared(tensors.get("norm_weight"), shape.queryHeads, shape.valueHeadDim);
        shared(tensors.get("sink"), shape.queryHeads);
        SafetensorsTensor dout = tensors.get("dout");
        if (dout != null) {
            extents(dout, "the shapes of q and v", shape.batch, shape.queries, shape.queryHeads, shape.valueHeadDim);
            if (dout.dtype() != q.dtype()) {
                throw new InputException("dout is " + dout.dtype() + ", it must be of the type of q, " + q.dtype());
            }
        }
        return shape;
    }

    private static SafetensorsTensor required(Map<String, SafetensorsTensor> tensors, String name) {
        SafetensorsTensor tensor = tensors.get(name);
        if (tensor == null) {
            throw new InputException("tensor \"" + name + "\" is missing; q, k and v are required");
        }
        return tensor;
    }

    /** The type of k or v as the library calls it. */
    static DataType keyType(SafetensorsTensor tensor) {
        return tensor.dtype() == SafetensorsType.I8 ? DataType.I8 : type(tensor);
    }

    private static void keyType(SafetensorsTensor k, SafetensorsTensor q) {
        boolean narrower = q.dtype() == SafetensorsType.F32
                && (k.dtype() == SafetensorsType.BF16 || k.dtype() == SafetensorsType.F16);
        if (k.dtype() != q.dtype() && k.dtype() != SafetensorsType.I8 && !narrower) {
            throw new InputException("k is " + k.dtype() + ", with q of " + q.dtype() + " it must be "
                    + (q.dtype() == SafetensorsType.F32 ? "F32, BF16, F16" : q.dtype()) + " or I8");
        }
    }

    private static void scale(
            @Nullable SafetensorsTensor scale, String name, SafetensorsTensor k, long entries, long keys, long heads) {
        boolean whole = k.dtype() == SafetensorsType.I8;
        if (scale == null) {
            if (whole) {
                throw new InputException("tensor \"" + name + "\" is missing; where k and v are I8 they need scales");
            }
            return;
        }
        if (!whole) {
            throw new InputException(
                    "tensor " + name + " is given, but k is " + k.dtype() + "; only I8 keys and values have scales");
        }
        if (scale.dtype() != SafetensorsType.F32) {
            throw new InputException(name + " is " + scale.dtype() + ", it must be F32");
        }
        extents(scale, "the shape of k", entries, keys, heads);
    }

    /** The type of a tensor as the library calls it. */
    static DataType type(SafetensorsTensor tensor) {
        return switch (tensor.dtype()) {
            case F32 -> DataType.F32;
            case BF16 -> DataType.BF16;
            case F16 -> DataType.F16;
            default ->
                throw new InputException(tensor.name() + " is " + tensor.dtype() + ", it must be F32, BF16 or F16");
        };
    }

    static void rank(SafetensorsTensor tensor, int rank, String axes) {
        if (tensor.shape().length != rank) {
            throw new InputException(describe(tensor) + ", which has " + tensor.shape().length + " axes, it must have "
                    + rank + ": " + axes);
        }
    }

    private static int heads(SafetensorsTensor tensor) {
        return heads(tensor, 2);
    }

    static int heads(SafetensorsTensor tensor, int axis) {
        long heads = tensor.shape()[axis];
        if (heads < 1 || heads > MAX_HEADS) {
            throw new InputException(describe(tensor) + ", which has " + heads + " heads (axis " + axis
                    + "), it must have 1 to " + MAX_HEADS);
        }
        return (int) heads;
    }

    private static int dim(SafetensorsTensor tensor) {
        return dim(tensor, 3);
    }

    static int dim(SafetensorsTensor tensor, int axis) {
        long dim = tensor.shape()[axis];
        if (dim < MIN_DIM || dim > MAX_DIM || dim % MIN_DIM != 0) {
            throw new InputException(describe(tensor) + ", whose head dimension (axis " + axis + ") is " + dim
                    + ", it must be a multiple of " + MIN_DIM + " from " + MIN_DIM + " to " + MAX_DIM);
        }
        return (int) dim;
    }

    static void extents(SafetensorsTensor tensor, String reason, long... expected) {
        if (!Arrays.equals(tensor.shape(), expected)) {
            throw new InputException(
                    describe(tensor) + ", it must be " + Arrays.toString(expected) + " to fit " + reason);
        }
    }

    static void shared(@Nullable SafetensorsTensor tensor, long... expected) {
        if (tensor == null) {
            return;
        }
        type(tensor);
        long[] actual = tensor.shape();
        boolean fits = actual.length == expected.length;
        for (int axis = 0; fits && axis < actual.length; axis++) {
            fits = actual[axis] == expected[axis] || actual[axis] == 1;
        }
        if (!fits) {
            throw new InputException(describe(tensor) + ", it must be " + Arrays.toString(expected)
                    + " or have 1 on some of these axes");
        }
    }

    private static String describe(SafetensorsTensor tensor) {
        return tensor.name() + " is " + Arrays.toString(tensor.shape());
    }
}
