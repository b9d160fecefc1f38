package io.github.gatedattention.testing;

import io.github.gatedattention.BackwardOperands;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.reference.Agreement;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.ExpectedGradient;
import io.github.gatedattention.reference.Floats;
import io.github.gatedattention.reference.Gradients;
import java.io.ByteArrayOutputStream;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.jspecify.annotations.Nullable;

/** A {@link Sample} that a forward call was made of, a gradient of its result, and a place for each gradient of its inputs. */
public final class GradientSample {
    private final Sample sample;
    private final BackwardOperands operands;

    private GradientSample(Sample sample, BackwardOperands operands) {
        this.sample = sample;
        this.operands = operands;
    }

    /** Makes the forward call on the target, with all threads that the target's builder gives. */
    public static GradientSample of(Arena arena, Sample sample, Target target) {
        Operands forward = sample.operands();
        try (GatedAttention attention = sample.builder(target).build()) {
            attention.forward(forward);
        }
        Tensor dOut = like(arena, forward.out());
        Random random = new Random(forward.q().dim(1) * 31 + forward.k().dim(1));
        for (long n = 0; n < dOut.segment().byteSize() / dOut.dataType().byteSize(); n++) {
            Floats.put(dOut.segment(), dOut.dataType(), n, random.nextGaussian());
        }
        BackwardOperands operands = BackwardOperands.of(
                        forward,
                        dOut,
                        like(arena, forward.q()),
                        like(arena, forward.k()),
                        like(arena, forward.v()),
                        like(arena, forward.gate()))
                .withDNormWeight(like(arena, forward.normWeight()))
                .withDSink(like(arena, forward.sink()));
        GradientSample result = new GradientSample(sample, operands);
        result.spoil();
        return result;
    }

    private static @Nullable Tensor like(Arena arena, @Nullable Tensor tensor) {
        return tensor == null ? null : Tensor.allocate(arena, tensor.dataType(), tensor.shape());
    }

    /** The same call with other operands. */
    public GradientSample with(BackwardOperands changed) {
        return new GradientSample(sample, changed);
    }

    public BackwardOperands operands() {
        return operands;
    }

    /** A builder that fits. */
    public GatedAttention.Builder builder(Target target) {
        return sample.builder(target);
    }

    /** The gradients asked for, in the order of {@link Gradients#NAMES}. */
    public List<@Nullable Tensor> gradients() {
        return Arrays.asList(
                operands.dQ(),
                operands.dK(),
                operands.dV(),
                operands.dGate(),
                operands.dNormWeight(),
                operands.dSink());
    }

    /** Fills the gradients with NaN. */
    public void spoil() {
        for (Tensor gradient : gradients()) {
            if (gradient != null) {
                gradient.segment().fill((byte) 0xFF);
            }
        }
    }

    /** Computes the gradients, and gives all their bytes. */
    public byte[] run(Target target, int threads) {
        spoil();
        try (GatedAttention attention = builder(target).threads(threads).build()) {
            attention.backward(operands);
        }
        return bytes();
    }

    /** The bytes of all gradients. */
    public byte[] bytes() {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        for (Tensor gradient : gradients()) {
            if (gradient != null) {
                bytes.writeBytes(gradient.segment().toArray(ValueLayout.JAVA_BYTE));
            }
        }
        return bytes.toByteArray();
    }

    /** What float64 gives for the operands as they are now. */
    public List<@Nullable ExpectedGradient> expected() {
        return sample.reference().gradients(DoubleTensor.of(operands.dOut()));
    }

    /** What is wrong with the gradients; null when nothing is. */
    public @Nullable String compare(List<@Nullable ExpectedGradient> expected) {
        List<@Nullable Tensor> gradients = gradients();
        for (int n = 0; n < gradients.size(); n++) {
            Tensor gradient = gradients.get(n);
            if (gradient == null) {
                continue;
            }
            ExpectedGradient e = expected.get(n);
            DoubleTensor bound = e.boundOf(gradient.dataType());
            String wrong = new Agreement()
                    .add(DoubleTensor.of(gradient).reshaped(e.exact().shape()), e.exact(), bound);
            if (wrong != null) {
                return Gradients.NAMES.get(n) + ": " + wrong;
            }
        }
        return null;
    }
}
