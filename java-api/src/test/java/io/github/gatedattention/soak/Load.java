package io.github.gatedattention.soak;

import io.github.gatedattention.Activation;
import io.github.gatedattention.Combination;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.KvCache;
import io.github.gatedattention.MergeOperands;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Partials;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicReference;
import java.util.concurrent.atomic.LongAdder;

/** What all threads of the load share: caches with room for some of them, and the results that each call must give. */
final class Load implements AutoCloseable {
    static final DataType[] CACHE_TYPES = {DataType.F32, DataType.BF16, DataType.I8};

    private static final Setting SETTING = Setting.causal(64).withGate(Activation.SIGMOID, Combination.MULTIPLY);
    private static final Sample.Shape PREFILL = new Sample.Shape(1, 90, 130, 4, 2, 64, 64);
    private static final DataType[] PREFILL_TYPES = {DataType.F32, DataType.BF16};

    private final Arena arena = Arena.ofShared();
    private final Target best = Target.cpu().getLast();
    private final Map<DataType, GatedAttention> attentions = new HashMap<>();
    private final List<Template> templates = new ArrayList<>();
    final Streams streams = new Streams(arena, best, CACHE_TYPES);
    final List<Shared> shared = new ArrayList<>();
    final AtomicReference<Throwable> failure = new AtomicReference<>();
    /** Appends, forks and allocations for which there was no room. */
    final LongAdder refused = new LongAdder();

    /** A cache and its type. */
    record Shared(KvCache cache, DataType type) {}

    private record Template(DataType type, Map<Target, byte[]> results, byte[] merged) {}

    /** A sample of a worker's own, and the bytes that its outputs must have on each target, and merged. */
    record Known(Sample sample, DataType type, MergeOperands merge, Map<Target, byte[]> results, byte[] merged) {}

    Load() {
        for (DataType type : CACHE_TYPES) {
            // Too small for everyone at their longest, so that there is no room now and then.
            shared.add(new Shared(Streams.shaped(KvCache.paged(150, 8), type).build(), type));
            shared.add(new Shared(
                    Streams.shaped(KvCache.contiguous(12, Streams.LONGEST), type)
                            .build(),
                    type));
        }
        for (DataType type : PREFILL_TYPES) {
            Sample sample = Sample.of(arena, SETTING, type, PREFILL);
            Map<Target, byte[]> results = new HashMap<>();
            for (Target target : Target.cpu()) {
                try (GatedAttention attention = sample.builder(target).build()) {
                    attention.forward(sample.operands());
                }
                results.put(target, sample.outputBytes());
            }
            attentions.put(type, sample.builder(best).build());
            attentions.get(type).merge(Partials.of(arena, sample, best, 0, 50, 130));
            templates.add(new Template(type, results, sample.outputBytes()));
        }
    }

    /** Samples with the same inputs as those computed before: they follow from the shape alone. */
    Known[] known(Arena own) {
        return templates.stream()
                .map(template -> {
                    Sample sample = Sample.of(own, SETTING, template.type, PREFILL);
                    MergeOperands merge = Partials.of(own, sample, best, 0, 50, 130);
                    return new Known(sample, template.type, merge, template.results, template.merged);
                })
                .toArray(Known[]::new);
    }

    Target best() {
        return best;
    }

    GatedAttention attention(Known known) {
        return attentions.get(known.type);
    }

    @Override
    public void close() {
        attentions.values().forEach(GatedAttention::close);
        shared.forEach(each -> each.cache().close());
        arena.close();
    }
}
