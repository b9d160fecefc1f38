package io.github.gatedattention.cli.replay;

import io.github.gatedattention.BackwardOperands;
import io.github.gatedattention.DataType;
import io.github.gatedattention.Gate;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.GatedAttentionException;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Scales;
import io.github.gatedattention.Status;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.cli.InputException;
import io.github.gatedattention.cli.Text;
import io.github.gatedattention.safetensors.SafetensorsException;
import io.github.gatedattention.safetensors.SafetensorsFile;
import io.github.gatedattention.safetensors.SafetensorsTensor;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Supplier;
import org.jspecify.annotations.Nullable;

/** One case: a file whose tensors and settings were checked, ready to compute. */
final class ReplayCase {
    private final Path file;
    private final CaseShape shape;
    private final Gate gate;
    private final CaseSettings settings;
    private final Operands operands;
    private final Optional<BackwardOperands> backward;

    private ReplayCase(
            Path file,
            CaseShape shape,
            Gate gate,
            CaseSettings settings,
            Operands operands,
            Optional<BackwardOperands> backward) {
        this.file = file;
        this.shape = shape;
        this.gate = gate;
        this.settings = settings;
        this.operands = operands;
        this.backward = backward;
    }

    /**
     * Checks a case.
     *
     * @param arena owner of the tensors; shared, because worker threads compute
     * @throws InputException when the file or its content is wrong, naming the file
     */
    static ReplayCase of(Path file, SafetensorsFile content, Arena arena) {
        return naming(file, () -> read(file, content, arena));
    }

    /** Reads a file; its exceptions name it. */
    static SafetensorsFile content(Path file, Arena arena) {
        try {
            return SafetensorsFile.read(file, arena);
        } catch (SafetensorsException e) {
            throw new InputException(String.valueOf(e.getMessage()), e);
        }
    }

    private static ReplayCase read(Path file, SafetensorsFile content, Arena arena) {
        Map<String, SafetensorsTensor> tensors = content.tensors();
        CaseShape shape = CaseShape.of(tensors);
        CaseSettings settings = CaseSettings.parse(content.metadata());
        Optional<Tensor> scores = view(tensors, "gate");
        Optional<Tensor> weight = view(tensors, "norm_weight");
        if (weight.isPresent() && settings.pre() != CaseSettings.Pre.RMS_NORM) {
            throw new InputException("tensor norm_weight is given, but metadata pre is not rms_norm");
        }
        Tensor out = Tensor.allocate(
                arena, shape.type(), shape.batch(), shape.queries(), shape.queryHeads(), shape.valueHeadDim());
        Tensor lse = Tensor.allocate(arena, DataType.F32, shape.batch(), shape.queryHeads(), shape.queries());
        Operands operands = Operands.of(
                        view(tensors, "q").orElseThrow(),
                        keys(tensors.get("k")),
                        keys(tensors.get("v")),
                        scores.orElse(null),
                        out)
                .withNormWeight(weight.orElse(null))
                .withSink(view(tensors, "sink").orElse(null))
                .withScales(scales(tensors))
                .withSequences(shape.sequences().operand())
                .withLse(lse);
        Gate gate = settings.gate(scores.map(tensor -> tensor.dim(3)).orElse(0L));
        Optional<BackwardOperands> backward = view(tensors, "dout").map(dout -> backward(operands, dout, arena));
        if (backward.isPresent()) {
            requireDifferentiable(settings, tensors, operands);
        }
        return new ReplayCase(file, shape, gate, settings, operands, backward);
    }

    /** Every gradient that there is, each of the type and shape of what it is the gradient of. */
    private static BackwardOperands backward(Operands forward, Tensor dout, Arena arena) {
        return BackwardOperands.of(
                        forward,
                        dout,
                        like(forward.q(), arena),
                        like(forward.k(), arena),
                        like(forward.v(), arena),
                        forward.gate() == null ? null : like(forward.gate(), arena))
                .withDNormWeight(forward.normWeight() == null ? null : like(forward.normWeight(), arena))
                .withDSink(forward.sink() == null ? null : like(forward.sink(), arena));
    }

    private static Tensor like(Tensor tensor, Arena arena) {
        return Tensor.allocate(arena, tensor.dataType(), tensor.shape());
    }

    private static void requireDifferentiable(
            CaseSettings settings, Map<String, SafetensorsTensor> tensors, Operands operands) {
        if (operands.k().dataType() != operands.q().dataType()) {
            throw new InputException(
                    "tensor dout is given and k is " + operands.k().dataType() + ", only keys of the type of q, "
                            + operands.q().dataType() + ", have gradients");
        }
        if (tensors.containsKey("block_table")) {
            throw new InputException("tensors dout and block_table are both given, paged keys have no gradients");
        }
        if (settings.roundBeforeGate()) {
            throw new InputException(
                    "tensor dout is given and metadata round_before_gate is true, rounding has no gradient");
        }
    }

    private static Tensor keys(@Nullable SafetensorsTensor tensor) {
        SafetensorsTensor there = Objects.requireNonNull(tensor);
        return Tensor.of(there.data(), CaseShape.keyType(there), there.shape());
    }

    private static @Nullable Scales scales(Map<String, SafetensorsTensor> tensors) {
        Optional<Tensor> keys = view(tensors, "k_scale");
        return keys.map(tensor -> new Scales(tensor, view(tensors, "v_scale").orElseThrow()))
                .orElse(null);
    }

    static Optional<Tensor> view(Map<String, SafetensorsTensor> tensors, String name) {
        return Optional.ofNullable(tensors.get(name))
                .map(tensor -> Tensor.of(tensor.data(), CaseShape.type(tensor), tensor.shape()));
    }

    /** An attention with this case's settings. */
    GatedAttention attention(ReplayOptions options) {
        return naming(file, () -> {
            GatedAttention.Builder builder = GatedAttention.builder()
                    .queryHeads(shape.queryHeads())
                    .keyValueHeads(shape.keyValueHeads())
                    .headDim(shape.headDim())
                    .valueHeadDim(shape.valueHeadDim())
                    .dataType(shape.type())
                    .gate(gate)
                    .mask(settings.mask())
                    .softcap(settings.softcap())
                    .backend(options.backend())
                    .threads(options.threads());
            settings.scale().ifPresent(builder::scale);
            options.maxInstructionSet().ifPresent(builder::maxInstructionSet);
            return builder.build();
        });
    }

    /** The tensors of the call. */
    Operands operands() {
        return operands;
    }

    /** Those of the backward call; empty unless the case has the gradient of its result. */
    Optional<BackwardOperands> backward() {
        return backward;
    }

    /** All that the calls write, by the names that it has in a file. */
    Map<String, Tensor> results() {
        Map<String, Tensor> results = new LinkedHashMap<>();
        results.put("out", operands.out());
        results.put("lse", Objects.requireNonNull(operands.lse()));
        backward.ifPresent(o -> {
            putIfThere(results, "dq", o.dQ());
            putIfThere(results, "dk", o.dK());
            putIfThere(results, "dv", o.dV());
            putIfThere(results, "dgate", o.dGate());
            putIfThere(results, "dnorm_weight", o.dNormWeight());
            putIfThere(results, "dsink", o.dSink());
        });
        return results;
    }

    private static void putIfThere(Map<String, Tensor> results, String name, @Nullable Tensor tensor) {
        if (tensor != null) {
            results.put(name, tensor);
        }
    }

    /** Puts the file's name before the message of whatever {@code step} refuses. */
    static <T> T naming(Path file, Supplier<T> step) {
        try {
            return step.get();
        } catch (GatedAttentionException e) {
            throw e.status() == Status.INTERNAL ? e : new InputException(Text.line(file + ": " + e.getMessage()), e);
        } catch (InputException e) {
            throw new InputException(Text.line(file + ": " + e.getMessage()), e);
        } catch (IllegalArgumentException | UnsupportedOperationException e) {
            throw new InputException(Text.line(file + ": " + CaseSequences.inFileNames(e.getMessage())), e);
        } catch (OutOfMemoryError e) {
            throw new InputException(Text.line(file + ": needs more memory than there is (" + e.getMessage() + ")"), e);
        }
    }
}
