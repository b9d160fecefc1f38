package io.github.gatedattention.cli.replay;

import io.github.gatedattention.DataType;
import io.github.gatedattention.Sequences;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.cli.InputException;
import io.github.gatedattention.safetensors.SafetensorsTensor;
import io.github.gatedattention.safetensors.SafetensorsType;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/**
 * Where the sequences of a case lie: the I32 tensors that say so, when there are any.
 *
 * @param tensors all tensors of the case
 * @param batch how many sequences there are
 */
record CaseSequences(Map<String, SafetensorsTensor> tensors, long batch) {
    /** The tensors' names; the library calls them the same in camel case. */
    static final List<String> NAMES =
            List.of("query_lengths", "key_lengths", "key_starts", "cu_seqlens_q", "cu_seqlens_k", "block_table");

    /** Checks types and shapes, and that each axis is described one way. What the tensors hold is checked by the library. */
    static CaseSequences of(Map<String, SafetensorsTensor> tensors, SafetensorsTensor q) {
        exclusive(tensors, "cu_seqlens_q", "query_lengths");
        exclusive(tensors, "cu_seqlens_k", "key_lengths");
        exclusive(tensors, "cu_seqlens_k", "key_starts");
        exclusive(tensors, "cu_seqlens_k", "block_table");
        long batch = q.shape()[0];
        SafetensorsTensor cu = tensors.get("cu_seqlens_q");
        if (cu != null) {
            integers(cu, 1);
            if (cu.shape()[0] == 0) {
                throw new InputException("cu_seqlens_q is [0], it must have 1 element more than there are sequences");
            }
            if (batch != 1) {
                throw new InputException(
                        "q is " + Arrays.toString(q.shape()) + ", with cu_seqlens_q its first axis must be 1");
            }
            batch = cu.shape()[0] - 1;
        }
        for (String name : List.of("query_lengths", "key_lengths", "key_starts")) {
            sequences(tensors.get(name), batch, "[" + batch + "]", 1);
        }
        sequences(tensors.get("cu_seqlens_k"), batch + 1, "[" + (batch + 1) + "]", 1);
        sequences(tensors.get("block_table"), batch, "[" + batch + ", pages per sequence]", 2);
        return new CaseSequences(tensors, batch);
    }

    private static void exclusive(Map<String, SafetensorsTensor> tensors, String name, String other) {
        if (tensors.containsKey(name) && tensors.containsKey(other)) {
            throw new InputException("tensors " + name + " and " + other
                    + " are both given, only one of them can say where the sequences are");
        }
    }

    private static void integers(SafetensorsTensor tensor, int rank) {
        if (tensor.dtype() != SafetensorsType.I32) {
            throw new InputException(tensor.name() + " is " + tensor.dtype() + ", it must be I32");
        }
        if (tensor.shape().length != rank) {
            throw new InputException(tensor.name() + " is " + Arrays.toString(tensor.shape()) + ", which has "
                    + tensor.shape().length + " axes, it must have " + rank);
        }
    }

    private static void sequences(@Nullable SafetensorsTensor tensor, long extent, String shape, int rank) {
        if (tensor == null) {
            return;
        }
        integers(tensor, rank);
        if (tensor.shape()[0] != extent) {
            throw new InputException(tensor.name() + " is " + Arrays.toString(tensor.shape()) + ", it must be " + shape
                    + " to fit the sequences");
        }
    }

    /** The first axis that k must have: pages, of which there may be any number, or sequences, or 1. */
    long keyEntries(SafetensorsTensor k) {
        return tensors.containsKey("block_table") ? k.shape()[0] : tensors.containsKey("cu_seqlens_k") ? 1 : batch;
    }

    /** As an operand; null when every sequence is full. */
    @Nullable
    Sequences operand() {
        if (NAMES.stream().noneMatch(tensors::containsKey)) {
            return null;
        }
        return new Sequences(
                view("query_lengths"),
                view("key_lengths"),
                view("key_starts"),
                view("cu_seqlens_q"),
                view("cu_seqlens_k"),
                view("block_table"));
    }

    private @Nullable Tensor view(String name) {
        SafetensorsTensor tensor = tensors.get(name);
        return tensor == null ? null : Tensor.of(tensor.data(), DataType.I32, tensor.shape());
    }

    /** A sentence of the library with the tensors' names as in the file. */
    static String inFileNames(@Nullable String sentence) {
        String renamed = String.valueOf(sentence);
        for (String name : NAMES) {
            renamed = renamed.replace(inCamelCase(name), name);
        }
        return renamed;
    }

    private static String inCamelCase(String name) {
        StringBuilder camel = new StringBuilder();
        for (String word : name.split("_")) {
            camel.append(camel.isEmpty() ? word : Character.toUpperCase(word.charAt(0)) + word.substring(1));
        }
        return camel.toString();
    }
}
