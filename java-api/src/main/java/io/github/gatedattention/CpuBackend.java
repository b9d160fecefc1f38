package io.github.gatedattention;

import io.github.gatedattention.bindings.NativeLibrary;
import org.jspecify.annotations.Nullable;

/** Native kernels; see {@link NativeEngine}. */
final class CpuBackend extends Backend {

    @Override
    public String name() {
        return "cpu";
    }

    @Override
    public @Nullable String unavailableReason() {
        return NativeLibrary.state() instanceof NativeLibrary.Refused refused ? refused.message() : null;
    }

    @Override
    public @Nullable String slowReason() {
        return null;
    }

    @Override
    Engine open(Settings settings) {
        return new NativeEngine(settings, NativeRuntime.acquire(settings.threads(), settings.maxInstructionSet()));
    }

    @Override
    PrologueEngine open(PrologueSettings settings) {
        return new NativePrologue(settings);
    }

    @Override
    EpilogueEngine open(EpilogueSettings settings) {
        return new NativeEpilogue(settings);
    }
}
