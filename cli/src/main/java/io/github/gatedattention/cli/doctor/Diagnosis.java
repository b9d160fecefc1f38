package io.github.gatedattention.cli.doctor;

import io.github.gatedattention.Backend;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.GatedAttentionException;
import io.github.gatedattention.InstructionSet;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.bindings.ExtractionDirectory;
import io.github.gatedattention.bindings.LibraryFacts;
import io.github.gatedattention.bindings.NativeLibrary;
import io.github.gatedattention.bindings.Refusal;
import io.github.gatedattention.cli.Backends;
import io.github.gatedattention.cli.InstructionSets;
import io.github.gatedattention.cli.Machine;
import io.github.gatedattention.cli.Names;
import io.github.gatedattention.cli.Version;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.InvalidPathException;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.jspecify.annotations.Nullable;

/** Looks at this machine, this JVM and the native library. The keys are documented in docs/cli.md and stay as they are. */
final class Diagnosis {
    private static final int HEAD_DIM = 64;

    private final Report report = new Report();

    private Diagnosis() {}

    static Report make() {
        NativeAccess access = NativeAccess.current(); // first: loading the library changes the answer
        var diagnosis = new Diagnosis();
        diagnosis.program();
        diagnosis.machine();
        diagnosis.nativeLibrary();
        diagnosis.instructionSets();
        diagnosis.threads();
        diagnosis.nativeAccess(access);
        diagnosis.temporaryDirectory();
        diagnosis.backends();
        diagnosis.javaBackend();
        return diagnosis.report;
    }

    private void program() {
        Map<String, @Nullable Object> facts = report.section("program");
        facts.put("version", Version.current());
        facts.put("java_home", System.getProperty("java.home"));
    }

    private void machine() {
        Machine machine = Machine.current();
        Map<String, @Nullable Object> facts = report.section("machine");
        facts.put("processor", machine.processor());
        facts.put("cores", machine.cores());
        facts.put("memory_bytes", machine.memoryBytes());
        facts.put("system", machine.system());
        facts.put("java", machine.java());
    }

    private void nativeLibrary() {
        Map<String, @Nullable Object> facts = report.section("native_library");
        switch (NativeLibrary.state()) {
            case NativeLibrary.Loaded loaded -> {
                facts.put("loaded", true);
                facts.put("origin", loaded.origin());
                facts.put("how", loaded.method().description());
                facts.put("sha256", loaded.sha256());
                facts.put("abi_version", loaded.abiVersion());
                facts.put("build", LibraryFacts.buildInfo());
            }
            case NativeLibrary.Refused refused -> {
                facts.put("loaded", false);
                facts.put("refusal", Names.of(refused.refusal()));
                facts.put("reason", refused.message());
            }
        }
    }

    /** Each instruction set, and for every one better than the chosen one why it was not. */
    private void instructionSets() {
        InstructionSet chosen;
        String problem = null;
        try {
            chosen = chosenInstructionSet();
        } catch (GatedAttentionException e) { // GA_MAX_ISA holds no instruction set
            chosen = InstructionSet.SCALAR;
            problem = e.getMessage();
        }
        for (InstructionSet set : InstructionSet.values()) {
            String reason = problem != null ? problem : InstructionSets.reasonAgainst(set, chosen);
            Map<String, @Nullable Object> facts = report.entry("instruction_sets");
            facts.put("name", Names.of(set));
            facts.put("chosen", reason == null && set == chosen);
            facts.put("available", reason == null);
            facts.put("reason", reason);
        }
    }

    private static InstructionSet chosenInstructionSet() {
        try (var attention = GatedAttention.builder()
                .queryHeads(1)
                .headDim(HEAD_DIM)
                .threads(1)
                .backend(Backends.best())
                .build()) {
            return attention.instructionSet();
        }
    }

    private void threads() {
        Map<String, @Nullable Object> facts = report.section("threads");
        facts.put("available_processors", Runtime.getRuntime().availableProcessors());
        try (var attention = GatedAttention.builder()
                .queryHeads(1)
                .headDim(HEAD_DIM)
                .backend(Backend.java())
                .build()) {
            facts.put("default_per_call", attention.threads());
        }
    }

    private void nativeAccess(NativeAccess access) {
        Map<String, @Nullable Object> facts = report.section("native_access");
        facts.put("granted", access.granted());
        facts.put("how", access.how());
    }

    private void temporaryDirectory() {
        ExtractionDirectory directory = NativeLibrary.extractionDirectory();
        Refusal refusal = directory.refusal().orElse(null);
        Map<String, @Nullable Object> facts = report.section("temporary_directory");
        facts.put("path", directory.path());
        facts.put("usable", directory.isUsable());
        try {
            Path path = Path.of(directory.path());
            facts.put("exists", Files.isDirectory(path));
            facts.put("writable", Files.isWritable(path));
            // Mount options are looked at once the directory proved safe.
            facts.put("noexec", refusal == Refusal.UNSAFE_DIRECTORY ? null : refusal == Refusal.NOEXEC_DIRECTORY);
            facts.put("mode", mode(path));
        } catch (InvalidPathException e) {
            facts.put("exists", false);
        }
        facts.put("detail", directory.describe());
    }

    private static @Nullable String mode(Path path) {
        try {
            return Integer.toOctalString((Integer) Files.getAttribute(path, "unix:mode") & 07777);
        } catch (IOException | UnsupportedOperationException e) {
            return null; // not there, or no Unix file system
        }
    }

    /** Those of the command line, and the first GPU, which it does not compute on. */
    private void backends() {
        Backend best = Backends.best();
        List<Backend> all = new ArrayList<>(Backends.all());
        all.add(Backend.cuda(0));
        for (Backend backend : all) {
            Map<String, @Nullable Object> facts = report.entry("backends");
            facts.put("name", backend.name());
            facts.put("default", backend == best);
            facts.put("available", backend.isAvailable());
            facts.put("reason", backend.unavailableReason());
        }
    }

    /** Which of its two ways the pure Java backend takes in this JVM, and what stands against the faster one. */
    private void javaBackend() {
        Backend backend = Backend.java();
        String reason = backend.slowReason();
        Map<String, @Nullable Object> facts = report.section("java_backend");
        facts.put("path", reason == null ? "vector_api" : "plain_loops");
        facts.put("kernel", javaKernel(backend));
        if (reason != null) {
            facts.put("reason", reason);
        }
    }

    private static String javaKernel(Backend backend) {
        try (var arena = Arena.ofConfined();
                var attention = GatedAttention.builder()
                        .queryHeads(1)
                        .headDim(HEAD_DIM)
                        .backend(backend)
                        .build()) {
            var x = Tensor.allocate(arena, DataType.F32, 1, 1, 1, HEAD_DIM);
            return attention.explain(x, x).kernel();
        }
    }
}
