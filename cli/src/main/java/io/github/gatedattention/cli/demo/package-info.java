/** The command {@code ga demo}. */
@NullMarked
package io.github.gatedattention.cli.demo;

import org.jspecify.annotations.NullMarked;
