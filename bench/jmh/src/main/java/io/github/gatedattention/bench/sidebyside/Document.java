package io.github.gatedattention.bench.sidebyside;

import io.github.gatedattention.bench.Workload;
import io.github.gatedattention.bench.peers.Implementation;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * All that a report knows: its tables and pictures are drawn from this.
 *
 * @param date the day, as yyyy-mm-dd
 * @param machine the processor
 * @param jvm the virtual machine
 * @param threads how many everyone might use, where a row says nothing else
 * @param full whether it was measured for publication
 * @param limitsAbsence why there are no shares of the peak; empty when there are
 * @param tuning how each implementation was set up to be fast
 * @param environment what each was told through the environment and by JVM options
 * @param stages where the time of this library's calls goes
 * @param rows what was measured
 */
record Document(
        String date,
        String machine,
        String jvm,
        int threads,
        boolean full,
        String limitsAbsence,
        Map<String, String> tuning,
        Map<String, String> environment,
        Stages stages,
        List<Measured> rows) {
    /** The rows of a section, in the order of the run. */
    List<Measured> of(Section section) {
        return rows.stream().filter(row -> row.section() == section).toList();
    }

    /** The row of a section; empty when it is not there. */
    Optional<Measured> row(Section section, Workload workload, Implementation implementation, int threadCount) {
        Entry entry = new Entry(workload, implementation, threadCount);
        return rows.stream()
                .filter(row -> row.section() == section && row.entry().equals(entry))
                .findFirst();
    }

    /** Prefill and decode: everyone beside everyone, with the usual number of threads. */
    Optional<Measured> row(Workload workload, Implementation implementation) {
        return row(
                workload == Workload.CALL ? Section.CALL : workload.isDecode() ? Section.DECODE : Section.PREFILL,
                workload,
                implementation,
                workload == Workload.CALL ? 1 : threads);
    }
}
