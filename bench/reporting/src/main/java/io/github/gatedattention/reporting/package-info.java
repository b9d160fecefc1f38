/** What programs that measure share: the machine's name, tables, the look of pictures. */
@NullMarked
package io.github.gatedattention.reporting;

import org.jspecify.annotations.NullMarked;
