package io.github.gatedattention.testing;

import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Sequences;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.reference.Agreement;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Expected;
import io.github.gatedattention.reference.Floats;
import io.github.gatedattention.reference.Reference;
import io.github.gatedattention.reference.Setting;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/** Contiguous operands of one call with normally distributed values that follow from the shape alone. */
public final class Sample {
    private final Setting setting;
    private final DataType type;
    private final Operands operands;

    private Sample(Setting setting, DataType type, Operands operands) {
        this.setting = setting;
        this.type = type;
        this.operands = operands;
    }

    /** The extents of a call; the gate has the type of q. */
    public record Shape(int batch, int seqQ, int seqK, int headsQ, int headsKv, int dim, int dimV) {}

    /** Operands in {@code arena}; out and lse are NaN. */
    public static Sample of(Arena arena, Setting setting, DataType type, Shape shape) {
        Random random = new Random(shape.hashCode());
        Tensor q = normal(random, arena, type, shape.batch, shape.seqQ, shape.headsQ, shape.dim);
        Tensor k = normal(random, arena, type, shape.batch, shape.seqK, shape.headsKv, shape.dim);
        Tensor v = normal(random, arena, type, shape.batch, shape.seqK, shape.headsKv, shape.dimV);
        Tensor gate = setting.gated()
                ? normal(
                        random, arena, type, shape.batch, shape.seqQ, shape.headsQ, setting.headwise() ? 1 : shape.dimV)
                : null;
        Tensor out = Tensor.allocate(arena, type, shape.batch, shape.seqQ, shape.headsQ, shape.dimV);
        Tensor lse = Tensor.allocate(arena, DataType.F32, shape.batch, shape.headsQ, shape.seqQ);
        Operands operands = Operands.of(q, k, v, gate, out).withLse(lse);
        if (setting.pre() == Setting.Pre.RMS_NORM) {
            operands = operands.withNormWeight(normal(random, arena, DataType.F32, shape.headsQ, shape.dimV));
        }
        Sample sample = new Sample(setting, type, operands);
        sample.spoilOutputs();
        return sample;
    }

    private static Tensor normal(Random random, Arena arena, DataType type, long... shape) {
        Tensor tensor = Tensor.allocate(arena, type, shape);
        long elements = tensor.segment().byteSize() / type.byteSize();
        for (long n = 0; n < elements; n++) {
            Floats.put(tensor.segment(), type, n, random.nextGaussian());
        }
        return tensor;
    }

    /** These tensors with others in the place of some. */
    public Sample with(Operands changed) {
        return new Sample(setting, type, changed);
    }

    public Operands operands() {
        return operands;
    }

    public Tensor out() {
        return operands.out();
    }

    /** A builder that fits. */
    public GatedAttention.Builder builder(Target target) {
        return target.builder(
                setting,
                type,
                (int) operands.q().dim(2),
                (int) operands.k().dim(2),
                (int) operands.q().dim(3),
                (int) operands.v().dim(3));
    }

    /** Fills the outputs with NaN. */
    public void spoilOutputs() {
        operands.out().segment().fill((byte) 0xFF);
        if (operands.lse() != null) {
            operands.lse().segment().fill((byte) 0xFF);
        }
    }

    /** What float64 gives for these operands as they are now. */
    public Expected expected() {
        return reference().compute();
    }

    /** The reference for these operands as they are now. */
    Reference.Builder reference() {
        Tensor weight = operands.normWeight();
        return Reference.of(
                        setting,
                        type,
                        DoubleTensor.of(operands.q()),
                        DoubleTensor.of(operands.k()),
                        DoubleTensor.of(operands.v()))
                .gate(operands.gate() == null ? null : DoubleTensor.of(operands.gate()))
                .normWeight(weight == null ? null : DoubleTensor.of(weight))
                .sink(operands.sink() == null ? null : DoubleTensor.of(operands.sink()))
                .keyLengths(keyLengths(operands.sequences()));
    }

    /** The reference knows no other description of the sequences. */
    private static int @Nullable [] keyLengths(@Nullable Sequences sequences) {
        if (sequences == null) {
            return null;
        }
        Tensor tensor = sequences.keyLengths();
        if (!sequences.equals(Sequences.padded(null, tensor))) {
            throw new IllegalArgumentException(
                    "the reference knows key lengths only, but the sequences are " + sequences);
        }
        if (tensor == null) {
            return null;
        }
        int[] lengths = new int[(int) tensor.dim(0)];
        for (int b = 0; b < lengths.length; b++) {
            lengths[b] = tensor.getInt(b);
        }
        return lengths;
    }

    /** What is wrong with the outputs; null when nothing is. */
    public @Nullable String compare(Expected expected) {
        String wrong = new Agreement().add(DoubleTensor.of(operands.out()), expected.out(), expected.outBound());
        if (wrong == null && operands.lse() != null) {
            wrong = new Agreement().add(DoubleTensor.of(operands.lse()), expected.lse(), expected.lseBound());
        }
        return wrong;
    }

    /** The bytes of out, then of lse. */
    public byte[] outputBytes() {
        MemorySegment out = operands.out().segment();
        MemorySegment lse = operands.lse() == null
                ? MemorySegment.ofArray(new byte[0])
                : operands.lse().segment();
        byte[] bytes = new byte[Math.toIntExact(out.byteSize() + lse.byteSize())];
        MemorySegment all = MemorySegment.ofArray(bytes);
        all.asSlice(0, out.byteSize()).copyFrom(out);
        all.asSlice(out.byteSize()).copyFrom(lse);
        return bytes;
    }
}
