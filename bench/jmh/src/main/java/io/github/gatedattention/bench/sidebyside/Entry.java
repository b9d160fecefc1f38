package io.github.gatedattention.bench.sidebyside;

import io.github.gatedattention.bench.Workload;
import io.github.gatedattention.bench.peers.Implementation;

/**
 * What a row of the report is about.
 *
 * @param workload the shape
 * @param implementation who computes
 * @param threads how many threads it may use
 */
record Entry(Workload workload, Implementation implementation, int threads) {}
