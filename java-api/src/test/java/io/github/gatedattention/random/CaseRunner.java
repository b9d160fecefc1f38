package io.github.gatedattention.random;

import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Operands;
import io.github.gatedattention.PreparedForward;
import io.github.gatedattention.Scales;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.reference.Agreement;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Expected;
import io.github.gatedattention.testing.Region;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.util.ArrayList;
import java.util.List;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/** Runs a random case on a target, in random layouts between poisoned zones, by a random way of calling. */
final class CaseRunner {
    private final RandomCase drawn;
    private final Target target;
    private final RandomGenerator random;
    private final List<Region> inputs = new ArrayList<>();

    CaseRunner(RandomCase drawn, Target target) {
        this.drawn = drawn;
        this.target = target;
        this.random = drawn.layoutRandom();
    }

    /** Compares with {@code expected}, adds to the agreements, and says what is wrong; null when nothing is. */
    @Nullable
    String run(Expected expected, Agreement outAgreement, Agreement lseAgreement) {
        try (Arena arena = random.nextBoolean() ? Arena.ofConfined() : Arena.ofShared()) {
            Region q = region(arena, drawn.type, drawn.q);
            RandomCase.Quantized quantized = drawn.quantized;
            Region k = region(arena, drawn.keyType, quantized == null ? drawn.k : quantized.k());
            Region v = region(arena, drawn.keyType, quantized == null ? drawn.v : quantized.v());
            Region gate = drawn.gate == null ? null : region(arena, drawn.gateType, drawn.gate);
            Tensor gateView = gate == null ? null : sometimesExpanded(gate.view());
            Region out = drawn.outIsQ ? q : drawn.outIsGate ? gate : empty(arena, drawn.type, expected.out());
            inputs.remove(out);
            Region lse = random.nextBoolean() ? null : emptyLse(arena, expected.lse());
            Operands operands = Operands.of(q.view(), k.view(), v.view(), gateView, out.view())
                    .withNormWeight(drawn.normWeight == null ? null : normWeight(arena))
                    .withSink(drawn.sink == null ? null : sink(arena))
                    .withKeyLengths(drawn.keyLengths == null ? null : keyLengths(arena))
                    .withLse(lse == null ? null : lse.view())
                    .withScales(quantized == null ? null : scales(arena, quantized));
            inputs.forEach(Region::remember);
            out.remember();
            try (GatedAttention attention = target.builder(drawn.setting, drawn.type, drawn.q, drawn.k, drawn.v)
                    .threads(drawn.threads)
                    .build()) {
                call(attention, operands);
            }
            return verdict(out, lse, expected, outAgreement, lseAgreement);
        }
    }

    private void call(GatedAttention attention, Operands operands) {
        boolean plain = operands.normWeight() == null
                && operands.sequences() == null
                && operands.lse() == null
                && operands.sink() == null
                && operands.scales() == null;
        switch (random.nextInt(3)) {
            case 0 -> {
                PreparedForward prepared = attention.prepare(operands);
                prepared.run();
            }
            case 1 -> {
                if (plain) {
                    attention.forward(operands.q(), operands.k(), operands.v(), operands.gate(), operands.out());
                } else {
                    attention.forward(operands);
                }
            }
            default -> attention.forward(operands);
        }
    }

    private @Nullable String verdict(
            Region out, @Nullable Region lse, Expected expected, Agreement outAgreement, Agreement lseAgreement) {
        if (inputs.stream().anyMatch(Region::changed)) {
            return "an input or its surroundings changed";
        }
        if (out.changedOutside() || (lse != null && lse.changedOutside())) {
            return "memory outside an output changed";
        }
        if (out.untouched() > 0) {
            return out.untouched() + " elements of out were not written";
        }
        if (lse != null && lse.untouched() > 0) {
            return lse.untouched() + " elements of lse were not written";
        }
        String wrong = outAgreement.add(out.values(), expected.out(), expected.outBound());
        if (wrong != null) {
            return "out: " + wrong;
        }
        if (lse == null) {
            return null;
        }
        String wrongLse = lseAgreement.add(lse.values(), expected.lse(), expected.lseBound());
        return wrongLse == null ? null : "lse: " + wrongLse;
    }

    private Region region(Arena arena, DataType type, DoubleTensor values) {
        Region region = empty(arena, type, values).fill(values);
        inputs.add(region);
        return region;
    }

    private Region empty(Arena arena, DataType type, DoubleTensor like) {
        return empty(arena, type, longs(like.shape()));
    }

    private Region empty(Arena arena, DataType type, long... shape) {
        return new Region(arena, type, shape, RandomLayout.strides(random, shape), RandomLayout.misalignment(random));
    }

    /** LSE is {@code [B, Hq, Sq]} without an axis of its own for 1. */
    private Region emptyLse(Arena arena, DoubleTensor like) {
        int[] shape = like.shape();
        return empty(arena, DataType.F32, shape[1], shape[2], shape[3]);
    }

    /** A shared axis may be said by an extent of 1 or by a stride of 0. */
    private Tensor sometimesExpanded(Tensor gate) {
        if (random.nextInt(3) > 0 || drawn.outIsGate) {
            return gate;
        }
        Tensor expanded = gate;
        for (int axis = 0; axis < 3; axis++) {
            if (expanded.dim(axis) == 1) {
                expanded = expanded.expand(axis, drawn.q.shape()[axis]);
            }
        }
        return expanded;
    }

    private Tensor normWeight(Arena arena) {
        DoubleTensor weight = drawn.normWeight;
        long[] shape = {weight.shape()[2], weight.shape()[3]};
        Region region = empty(arena, drawn.normWeightType, shape).fill(weight);
        inputs.add(region);
        return region.view();
    }

    private Tensor sink(Arena arena) {
        Region region = empty(arena, drawn.sinkType, drawn.sink.values().length).fill(drawn.sink);
        inputs.add(region);
        return region.view();
    }

    private Scales scales(Arena arena, RandomCase.Quantized quantized) {
        return new Scales(scale(arena, quantized.kScales()), scale(arena, quantized.vScales()));
    }

    private Tensor scale(Arena arena, DoubleTensor scales) {
        int[] shape = scales.shape();
        Region region = empty(arena, DataType.F32, shape[1], shape[2], shape[3]).fill(scales);
        inputs.add(region);
        return region.view();
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

    private static long[] longs(int[] shape) {
        long[] longs = new long[shape.length];
        for (int axis = 0; axis < shape.length; axis++) {
            longs[axis] = shape[axis];
        }
        return longs;
    }
}
