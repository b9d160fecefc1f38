/** Each way to compute gated attention from Java, behind one interface, tuned as its makers would want it. */
@NullMarked
package io.github.gatedattention.bench.peers;

import org.jspecify.annotations.NullMarked;
