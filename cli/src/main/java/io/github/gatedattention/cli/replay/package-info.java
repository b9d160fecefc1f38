/** The command {@code ga replay}. */
@NullMarked
package io.github.gatedattention.cli.replay;

import org.jspecify.annotations.NullMarked;
