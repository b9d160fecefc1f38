/** ND4J as a peer, on a class path of its own. */
@NullMarked
package io.github.gatedattention.bench.nd4j;

import org.jspecify.annotations.NullMarked;
