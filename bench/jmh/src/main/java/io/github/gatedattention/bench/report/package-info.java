/** What a run says about itself and its results: machine, tuning, limits, tables. */
@NullMarked
package io.github.gatedattention.bench.report;

import org.jspecify.annotations.NullMarked;
