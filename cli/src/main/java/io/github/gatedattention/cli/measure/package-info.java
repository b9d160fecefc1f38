/** Pictures of measurements. */
@NullMarked
package io.github.gatedattention.cli.measure;

import org.jspecify.annotations.NullMarked;
