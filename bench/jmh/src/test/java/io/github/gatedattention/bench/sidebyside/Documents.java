package io.github.gatedattention.bench.sidebyside;

import io.github.gatedattention.bench.Workload;
import io.github.gatedattention.bench.peers.Implementation;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/** Reports that nobody measured. */
final class Documents {
    static final String REASON = "left out: one call took 10.9 s";

    private Documents() {}

    /** Everything is measured but plain Java, and slower by its place in the enumeration. */
    static Document complete() {
        List<Measured> rows = new ArrayList<>();
        for (Comparison comparison : Comparison.all(2, 2)) {
            for (Entry entry : comparison.entries()) {
                rows.add(
                        entry.implementation() == Implementation.PLAIN_JAVA_F32
                                ? Measured.absent(comparison.section(), entry, REASON)
                                : row(comparison.section(), entry));
            }
        }
        return document(rows);
    }

    static Document document(List<Measured> rows) {
        return new Document(
                "2026-01-31",
                "Processor, 2 processors",
                "VM 25",
                2,
                false,
                "",
                Map.of("this library, f32", "defaults"),
                Map.of("library", "OMP_NUM_THREADS=2"),
                stages(),
                rows);
    }

    private static Stages stages() {
        return Stages.parse("""
                {"workload": "S128", "type": "bf16", "threads": 2, "nanos": 140579, "keys": 0.25, "row_ends": 0.5, "values": 0.0}
                {"workload": "S512", "type": "f32", "threads": 2, "nanos": 2795922, "keys": 0.125, "row_ends": 0.25, "values": 0.5}
                """);
    }

    /** Five rounds around a median of (1 + the implementation's place) times what the peak allows. */
    private static Measured row(Section section, Entry entry) {
        Workload workload = entry.workload();
        String limit = Peak.request(entry, "dot_bf16");
        double work = workload.isDecode() ? entry.implementation().bytes(workload) : workload.flop();
        double nanos = work / 500 * (1 + entry.implementation().ordinal());
        return new Measured(
                section,
                entry,
                "",
                3.25e-7,
                1234,
                List.of(nanos * 1.1, nanos, nanos * 0.9, nanos, nanos),
                limit.isEmpty() ? Peak.NONE : new Peak(limit, List.of(450.0, 500.0, 550.0, 500.0, 500.0)));
    }
}
