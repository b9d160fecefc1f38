/** DJL as a peer, on a class path of its own. */
@NullMarked
package io.github.gatedattention.bench.djl;

import org.jspecify.annotations.NullMarked;
