/** The report: limits, this library and every peer, in turns, in one run: docs/benchmarks.md. */
@NullMarked
package io.github.gatedattention.bench.sidebyside;

import org.jspecify.annotations.NullMarked;
