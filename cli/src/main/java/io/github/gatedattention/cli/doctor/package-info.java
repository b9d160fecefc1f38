/** The command {@code ga doctor}. */
@NullMarked
package io.github.gatedattention.cli.doctor;

import org.jspecify.annotations.NullMarked;
