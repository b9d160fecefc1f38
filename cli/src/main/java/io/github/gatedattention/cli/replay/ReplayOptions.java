package io.github.gatedattention.cli.replay;

import io.github.gatedattention.Backend;
import io.github.gatedattention.InstructionSet;
import java.util.Optional;

/**
 * What the command line says about all cases.
 *
 * @param backend where to compute
 * @param threads how many threads a call may use
 * @param maxInstructionSet the best instruction set allowed
 */
record ReplayOptions(Backend backend, int threads, Optional<InstructionSet> maxInstructionSet) {}
