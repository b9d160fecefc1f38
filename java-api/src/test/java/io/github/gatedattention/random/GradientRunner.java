package io.github.gatedattention.random;

import io.github.gatedattention.BackwardOperands;
import io.github.gatedattention.DataType;
import io.github.gatedattention.Gate;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.ExpectedGradient;
import io.github.gatedattention.reference.Gradients;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Region;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * Runs a random case forward and then backward on a target, in random layouts between poisoned zones, for any choice of gradients
 * of any type allowed.
 */
final class GradientRunner {
    private final RandomCase drawn;
    private final Setting setting;
    private final Target target;
    private final DoubleTensor dOut;
    private final RandomGenerator random;
    private final List<Region> inputs = new ArrayList<>();
    private final List<@Nullable Region> gradients = new ArrayList<>();

    GradientRunner(RandomCase drawn, Setting setting, Target target, DoubleTensor dOut) {
        this.drawn = drawn;
        this.setting = setting;
        this.target = target;
        this.dOut = dOut;
        this.random = drawn.layoutRandom();
    }

    /** Compares with {@code expected}, adds to the agreements, and says what is wrong; null when nothing is. */
    @Nullable
    String run(List<@Nullable ExpectedGradient> expected, GradientAgreement agreement) {
        try (Arena arena = random.nextBoolean() ? Arena.ofConfined() : Arena.ofShared()) {
            int[] shape = dOut.shape();
            Tensor q = region(arena, drawn.type, drawn.q);
            Tensor k = region(arena, drawn.type, drawn.k);
            Tensor v = region(arena, drawn.type, drawn.v);
            Tensor gate = drawn.gate == null ? null : region(arena, drawn.gateType, drawn.gate);
            Region out = empty(arena, drawn.type, longs(shape));
            Region lse = empty(arena, DataType.F32, shape[0], shape[2], shape[1]);
            Operands forward = Operands.of(q, k, v, gate, out.view())
                    .withNormWeight(drawn.normWeight == null ? null : matrix(arena, drawn.normWeight))
                    .withSink(drawn.sink == null ? null : vector(arena, drawn.sink))
                    .withKeyLengths(drawn.keyLengths == null ? null : keyLengths(arena))
                    .withLse(lse.view());
            Region ungated = random.nextInt(3) == 0
                    ? empty(arena, random.nextBoolean() ? drawn.type : DataType.F32, longs(shape))
                    : null;
            inputs.addAll(List.of(out, lse));
            BackwardOperands operands = backward(arena, forward, ungated);
            try (GatedAttention attention = builder().build()) {
                attention.forward(forward);
                if (ungated != null) {
                    attendUngated(arena, forward, ungated);
                }
                inputs.forEach(Region::remember);
                gradients.stream().filter(g -> g != null).forEach(Region::remember);
                attention.backward(operands);
            }
            return verdict(expected, agreement);
        }
    }

    private GatedAttention.Builder builder() {
        return target.builder(setting, drawn.type, drawn.q, drawn.k, drawn.v).threads(drawn.threads);
    }

    /** Y, in its own type and then as it is wanted. */
    private void attendUngated(Arena arena, Operands forward, Region ungated) {
        Tensor y = Tensor.allocate(arena, drawn.type, ungated.view().shape());
        try (GatedAttention plain = builder().gate(Gate.none()).build()) {
            plain.forward(Operands.of(forward.q(), forward.k(), forward.v(), null, y)
                    .withSequences(forward.sequences())
                    .withSink(forward.sink()));
        }
        ungated.view().copyFrom(y);
        inputs.add(ungated);
    }

    private BackwardOperands backward(Arena arena, Operands forward, @Nullable Region ungated) {
        Tensor dOutView = region(arena, drawn.type, dOut);
        boolean all = random.nextInt(3) > 0;
        boolean[] wanted = new boolean[Gradients.NAMES.size()];
        for (int n = 0; n < wanted.length; n++) {
            wanted[n] = all || random.nextBoolean();
        }
        wanted[random.nextInt(3)] = true;
        gradients.add(wanted[0] ? like(arena, forward.q()) : null);
        gradients.add(wanted[1] ? like(arena, forward.k()) : null);
        gradients.add(wanted[2] ? like(arena, forward.v()) : null);
        gradients.add(wanted[3] ? like(arena, forward.gate()) : null);
        gradients.add(wanted[4] ? like(arena, forward.normWeight()) : null);
        gradients.add(wanted[5] ? like(arena, forward.sink()) : null);
        return new BackwardOperands(
                forward,
                dOutView,
                ungated == null ? null : ungated.view(),
                view(0),
                view(1),
                view(2),
                view(3),
                view(4),
                view(5));
    }

    private @Nullable Tensor view(int n) {
        return gradients.get(n) == null ? null : gradients.get(n).view();
    }

    private @Nullable String verdict(List<@Nullable ExpectedGradient> expected, GradientAgreement agreement) {
        if (inputs.stream().anyMatch(Region::changed)) {
            return "an input or its surroundings changed";
        }
        for (int n = 0; n < gradients.size(); n++) {
            Region gradient = gradients.get(n);
            if (gradient == null) {
                continue;
            }
            String name = Gradients.NAMES.get(n);
            if (gradient.changedOutside()) {
                return "memory outside " + name + " changed";
            }
            if (gradient.untouched() > 0) {
                return gradient.untouched() + " elements of " + name + " were not written";
            }
            ExpectedGradient e = expected.get(n);
            DoubleTensor actual = gradient.values().reshaped(e.exact().shape());
            String wrong = agreement.add(n, actual, e, gradient.view().dataType());
            if (wrong != null) {
                return name + ": " + wrong;
            }
        }
        return null;
    }

    private @Nullable Region like(Arena arena, @Nullable Tensor input) {
        if (input == null) {
            return null;
        }
        return empty(arena, random.nextInt(3) == 0 ? DataType.F32 : input.dataType(), input.shape());
    }

    private Tensor region(Arena arena, DataType type, DoubleTensor values) {
        return fill(empty(arena, type, longs(values.shape())), values);
    }

    private Tensor fill(Region region, DoubleTensor values) {
        inputs.add(region.fill(values));
        return region.view();
    }

    private Tensor matrix(Arena arena, DoubleTensor weight) {
        return fill(empty(arena, drawn.normWeightType, weight.shape()[2], weight.shape()[3]), weight);
    }

    private Tensor vector(Arena arena, DoubleTensor sink) {
        return fill(empty(arena, drawn.sinkType, sink.values().length), sink);
    }

    private Tensor keyLengths(Arena arena) {
        int[] lengths = drawn.keyLengths;
        Region region = empty(arena, DataType.I32, lengths.length);
        for (int b = 0; b < lengths.length; b++) {
            region.view().segment().setAtIndex(ValueLayout.JAVA_INT, b, lengths[b]);
        }
        inputs.add(region);
        return region.view();
    }

    private Region empty(Arena arena, DataType type, long... shape) {
        return new Region(arena, type, shape, RandomLayout.strides(random, shape), RandomLayout.misalignment(random));
    }

    private static long[] longs(int[] shape) {
        return Arrays.stream(shape).asLongStream().toArray();
    }
}
