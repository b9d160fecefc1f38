package io.github.gatedattention.cli.replay;

import io.github.gatedattention.DataType;
import io.github.gatedattention.Gate;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.MergeOperands;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.cli.InputException;
import io.github.gatedattention.cli.Names;
import io.github.gatedattention.cli.Text;
import io.github.gatedattention.safetensors.SafetensorsFile;
import io.github.gatedattention.safetensors.SafetensorsTensor;
import io.github.gatedattention.safetensors.SafetensorsType;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/** A case that merges partial results over disjoint keys: one that holds {@code partial_out}. */
final class MergeCase {
    private static final String OUT = "partial_out";
    private static final String LSE = "partial_lse";
    private static final List<String> NAMES = List.of(OUT, LSE, "gate", "norm_weight", "sink");

    /** The types of a result. */
    private enum Type {
        F32,
        BF16,
        F16
    }

    private final Path file;
    private final Gate gate;
    private final DataType type;
    private final MergeOperands operands;

    private MergeCase(Path file, Gate gate, DataType type, MergeOperands operands) {
        this.file = file;
        this.gate = gate;
        this.type = type;
        this.operands = operands;
    }

    /** Whether a file is such a case. */
    static boolean is(SafetensorsFile content) {
        return content.tensors().containsKey(OUT) || content.tensors().containsKey(LSE);
    }

    /**
     * Checks a case: nothing that it holds is refused later.
     *
     * @param arena owner of the results; shared, because worker threads compute
     * @throws InputException when it is wrong, naming the file
     */
    static MergeCase of(Path file, SafetensorsFile content, Arena arena) {
        return ReplayCase.naming(file, () -> read(file, content, arena));
    }

    private static MergeCase read(Path file, SafetensorsFile content, Arena arena) {
        Map<String, SafetensorsTensor> tensors = content.tensors();
        for (String name : tensors.keySet()) {
            if (!NAMES.contains(name)) {
                throw new InputException("tensor " + Text.quote(name) + " has no place in a merge, allowed are "
                        + String.join(", ", NAMES));
            }
        }
        SafetensorsTensor out = required(tensors, OUT);
        SafetensorsTensor lse = required(tensors, LSE);
        CaseShape.rank(out, 5, "[N, B, Sq, Hq, Dv]");
        CaseShape.rank(lse, 4, "[N, B, Hq, Sq]");
        CaseShape.type(out);
        long[] shape = out.shape();
        if (shape[0] < 1) {
            throw new InputException(OUT + " is " + Arrays.toString(shape)
                    + ", which has no partial result (axis 0), at least 1 is needed");
        }
        int heads = CaseShape.heads(out, 3);
        int dim = CaseShape.dim(out, 4);
        if (lse.dtype() != SafetensorsType.F32) {
            throw new InputException(LSE + " is " + lse.dtype() + ", it must be F32");
        }
        CaseShape.extents(lse, "the shape of " + OUT, shape[0], shape[1], heads, shape[2]);
        CaseShape.shared(tensors.get("gate"), shape[1], shape[2], heads, dim);
        CaseShape.shared(tensors.get("norm_weight"), heads, dim);
        CaseShape.shared(tensors.get("sink"), heads);
        CaseSettings settings = CaseSettings.parseMerge(content.metadata());
        Optional<Tensor> weight = ReplayCase.view(tensors, "norm_weight");
        if (weight.isPresent() && settings.pre() != CaseSettings.Pre.RMS_NORM) {
            throw new InputException("tensor norm_weight is given, but metadata pre is not rms_norm");
        }
        DataType type = type(content.metadata(), CaseShape.type(out));
        Optional<Tensor> scores = ReplayCase.view(tensors, "gate");
        MergeOperands operands = MergeOperands.of(
                        ReplayCase.view(tensors, OUT).orElseThrow(),
                        ReplayCase.view(tensors, LSE).orElseThrow(),
                        scores.orElse(null),
                        Tensor.allocate(arena, type, shape[1], shape[2], heads, dim))
                .withNormWeight(weight.orElse(null))
                .withSink(ReplayCase.view(tensors, "sink").orElse(null))
                .withLse(Tensor.allocate(arena, DataType.F32, shape[1], heads, shape[2]));
        Gate gate = settings.gate(scores.map(tensor -> tensor.dim(3)).orElse(0L));
        return new MergeCase(file, gate, type, operands);
    }

    private static SafetensorsTensor required(Map<String, SafetensorsTensor> tensors, String name) {
        SafetensorsTensor tensor = tensors.get(name);
        if (tensor == null) {
            throw new InputException("tensor \"" + name + "\" is missing; a merge needs " + OUT + " and " + LSE);
        }
        return tensor;
    }

    private static DataType type(Map<String, String> metadata, DataType otherwise) {
        String text = metadata.get("type");
        return text == null
                ? otherwise
                : DataType.valueOf(
                        Names.parse(Type.class, "metadata type", text).name());
    }

    /** An attention with this case's settings. */
    GatedAttention attention(ReplayOptions options) {
        return ReplayCase.naming(file, () -> {
            Tensor out = operands.out();
            GatedAttention.Builder builder = GatedAttention.builder()
                    .queryHeads((int) out.dim(2))
                    .headDim((int) out.dim(3))
                    .dataType(type)
                    .gate(gate)
                    .backend(options.backend())
                    .threads(options.threads());
            options.maxInstructionSet().ifPresent(builder::maxInstructionSet);
            return builder.build();
        });
    }

    /** Computes. */
    void merge(GatedAttention attention) {
        ReplayCase.naming(file, () -> {
            attention.merge(operands);
            return operands;
        });
    }

    /** The result's tensors, of the arena. */
    Tensor out() {
        return operands.out();
    }

    Tensor lse() {
        return Objects.requireNonNull(operands.lse());
    }
}
