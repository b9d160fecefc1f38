/** JMH benchmarks of gated attention beside what a Java program would call instead: docs/benchmarks.md. */
@NullMarked
package io.github.gatedattention.bench;

import org.jspecify.annotations.NullMarked;
