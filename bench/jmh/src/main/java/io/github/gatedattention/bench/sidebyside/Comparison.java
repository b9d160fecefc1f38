package io.github.gatedattention.bench.sidebyside;

import io.github.gatedattention.bench.Workload;
import io.github.gatedattention.bench.peers.Implementation;
import io.github.gatedattention.bench.peers.Trainer;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.regex.Pattern;

/**
 * What is measured in turns, one after the other in every round, because it is to be compared.
 *
 * @param section which question it belongs to
 * @param name tells it from the others
 * @param entries what takes turns
 */
record Comparison(Section section, String name, List<Entry> entries) {
    private static final List<Workload> PREFILL = List.of(
            Workload.S128,
            Workload.S512,
            Workload.S1024,
            Workload.S2048,
            Workload.S4096,
            Workload.S1024_D64,
            Workload.S1024_D256);
    private static final List<Workload> DECODE = List.of(
            Workload.DECODE_512,
            Workload.DECODE_4096,
            Workload.DECODE_32768,
            Workload.DECODE_4096_B4,
            Workload.DECODE_4096_B8);
    private static final List<List<Workload>> GATES = List.of(
            List.of(Workload.S1024_UNGATED, Workload.S1024_HEADWISE, Workload.S1024),
            List.of(Workload.DECODE_4096_UNGATED, Workload.DECODE_4096_HEADWISE, Workload.DECODE_4096));
    private static final List<Workload> SCALING = List.of(Workload.S1024, Workload.DECODE_32768);

    /** The rest scales like one of these, and a machine with many cores has many rows. */
    private static final List<Implementation> SCALED = List.of(
            Implementation.GATED_ATTENTION_BF16,
            Implementation.GATED_ATTENTION_F32,
            Implementation.VECTOR_API_F32,
            Implementation.ONNX_RUNTIME_F32,
            Implementation.PYTORCH_F32);

    /** Calls that are parts of this library's call. */
    private static final Set<Implementation> CALLS_ONLY = Set.of(Implementation.PREPARED_F32, Implementation.BARE_F32);

    private static final List<Implementation> COMPARED = List.of(Implementation.values()).stream()
            .filter(implementation -> !CALLS_ONLY.contains(implementation) && !implementation.isForServing())
            .toList();

    private static final List<Workload> SERVED =
            List.of(Workload.DECODE_4096, Workload.DECODE_32768, Workload.DECODE_4096_B8, Workload.CHUNK_512);

    private static final List<Implementation> CACHES = List.of(
            Implementation.GATED_ATTENTION_BF16,
            Implementation.GATED_ATTENTION_F16,
            Implementation.PAGED_BF16,
            Implementation.INT8_BF16,
            Implementation.PAGED_INT8_BF16);

    private static final List<List<Workload>> STEPS = List.of(
            List.of(Workload.STEP_512),
            List.of(Workload.STEP_1024_UNGATED, Workload.STEP_1024_HEADWISE, Workload.STEP_1024),
            List.of(Workload.STEP_2048));

    private static final List<Implementation> TRAINERS = Arrays.stream(Trainer.Kind.values())
            .map(Trainer.Kind::implementation)
            .toList();

    /** Who pads computes the whole batch. */
    private static final List<Implementation> BATCHES = List.of(
            Implementation.PACKED_BF16,
            Implementation.PACKED_F32,
            Implementation.GATED_ATTENTION_BF16,
            Implementation.GATED_ATTENTION_F32,
            Implementation.ONNX_RUNTIME_F32,
            Implementation.PYTORCH_F32,
            Implementation.PYTORCH_BF16);

    /**
     * Everything that a report measures, in its order.
     *
     * @param threads how many threads everyone may use
     * @param processors how many the scaling goes up to
     */
    static List<Comparison> all(int threads, int processors) {
        List<Comparison> all = new ArrayList<>();
        for (Workload workload : PREFILL) {
            all.add(of(Section.PREFILL, List.of(workload), COMPARED, List.of(threads)));
        }
        for (Workload workload : DECODE) {
            all.add(of(Section.DECODE, List.of(workload), COMPARED, List.of(threads)));
        }
        for (List<Workload> workloads : GATES) {
            all.add(of(Section.GATE, workloads, COMPARED, List.of(threads)));
        }
        List<Integer> counts = threadCounts(processors);
        for (Workload workload : SCALING) {
            all.add(of(Section.THREADS, List.of(workload), SCALED, counts));
        }
        for (Workload workload : SERVED) {
            all.add(of(Section.SERVING, List.of(workload), CACHES, List.of(threads)));
        }
        all.add(of(Section.SERVING, List.of(Workload.RAGGED_512_B8), BATCHES, List.of(threads)));
        for (List<Workload> steps : STEPS) {
            all.add(of(Section.TRAINING, steps, TRAINERS, List.of(threads)));
        }
        List<Implementation> calls = Arrays.stream(Implementation.values())
                .filter(implementation -> !implementation.isForServing())
                .toList();
        all.add(of(Section.CALL, List.of(Workload.CALL), calls, List.of(1)));
        return all;
    }

    private static Comparison of(
            Section section, List<Workload> workloads, List<Implementation> implementations, List<Integer> threads) {
        List<Entry> entries = new ArrayList<>();
        for (Implementation implementation : implementations) {
            for (Workload workload : workloads) {
                threads.forEach(count -> entries.add(new Entry(workload, implementation, count)));
            }
        }
        return new Comparison(section, section + " " + workloads.getLast(), List.copyOf(entries));
    }

    /** 1, 2, 4, ... and the last one itself. */
    static List<Integer> threadCounts(int processors) {
        List<Integer> counts = new ArrayList<>();
        for (int count = 1; count < processors; count *= 2) {
            counts.add(count);
        }
        counts.add(processors);
        return counts;
    }

    /** Whether the pattern is found in the name. */
    boolean matches(String pattern) {
        return Pattern.compile(pattern).matcher(name).find();
    }
}
