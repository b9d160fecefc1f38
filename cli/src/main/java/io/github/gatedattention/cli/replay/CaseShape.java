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
 * @param type the type of q, k, v and the result
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
                    Stream.of("q", "k", "v", "gate", "norm_weight", "sink"), CaseSequences.NAMES.stream())
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
        sameType(k, q);
        sameType(v, q);
        shared(tensors.get("gate"), shape.batch, shape.queries, shape.queryHeads, shape.valueHeadDim);
        shared(tensors.get("norm_weight"), shape.queryHeads, shape.valueHeadDim);
        shared(tensors.get("sink"), shape.queryHeads);
        return shape;
    }

    private static SafetensorsTensor required(Map<String, SafetensorsTensor> tensors, String name) {
        SafetensorsTensor tensor = tensors.get(name);
        if (tensor == null) {
            throw new InputException("tensor \"" + name + "\" is missing; q, k and v are required");
        }
        return tensor;
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

    /** The type of the result as safetensors calls it. */
    SafetensorsType resultType() {
        return SafetensorsType.valueOf(type.name());
    }

    private static void rank(SafetensorsTensor tensor, int rank, String axes) {
        if (tensor.shape().length != rank) {
            throw new InputException(describe(tensor) + ", which has " + tensor.shape().length + " axes, it must have "
                    + rank + ": " + axes);
        }
    }

    private static int heads(SafetensorsTensor tensor) {
        long heads = tensor.shape()[2];
        if (heads < 1 || heads > MAX_HEADS) {
            throw new InputException(
                    describe(tensor) + ", which has " + heads + " heads (axis 2), it must have 1 to " + MAX_HEADS);
        }
        return (int) heads;
    }

    private static int dim(SafetensorsTensor tensor) {
        long dim = tensor.shape()[3];
        if (dim < MIN_DIM || dim > MAX_DIM || dim % MIN_DIM != 0) {
            throw new InputException(describe(tensor) + ", whose head dimension (axis 3) is " + dim
                    + ", it must be a multiple of " + MIN_DIM + " from " + MIN_DIM + " to " + MAX_DIM);
        }
        return (int) dim;
    }

    private static void extents(SafetensorsTensor tensor, String reason, long... expected) {
        if (!Arrays.equals(tensor.shape(), expected)) {
            throw new InputException(
                    describe(tensor) + ", it must be " + Arrays.toString(expected) + " to fit " + reason);
        }
    }

    private static void shared(@Nullable SafetensorsTensor tensor, long... expected) {
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

    private static void sameType(SafetensorsTensor tensor, SafetensorsTensor q) {
        if (tensor.dtype() != q.dtype()) {
            throw new InputException(
                    tensor.name() + " is " + tensor.dtype() + ", it must be of the type of q, " + q.dtype());
        }
    }

    private static String describe(SafetensorsTensor tensor) {
        return tensor.name() + " is " + Arrays.toString(tensor.shape());
    }
}
