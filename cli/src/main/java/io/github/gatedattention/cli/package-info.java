/** The command line; each command has a package of its own. */
@NullMarked
package io.github.gatedattention.cli;

import org.jspecify.annotations.NullMarked;
