package io.github.gatedattention.cli.replay;

import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.InstructionSet;
import io.github.gatedattention.Plan;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.cli.Backends;
import io.github.gatedattention.cli.InputException;
import io.github.gatedattention.cli.Names;
import io.github.gatedattention.cli.Paths;
import io.github.gatedattention.cli.Text;
import io.github.gatedattention.cli.Version;
import io.github.gatedattention.safetensors.SafetensorsException;
import io.github.gatedattention.safetensors.SafetensorsFile;
import io.github.gatedattention.safetensors.SafetensorsTensor;
import io.github.gatedattention.safetensors.SafetensorsType;
import java.io.PrintWriter;
import java.lang.foreign.Arena;
import java.nio.file.Path;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import org.jspecify.annotations.Nullable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Parameters;
import picocli.CommandLine.Spec;

/**
 * Runs the operator on tensors from files. Every case is read and checked before the first one is computed: when one is wrong, nothing
 * is written at all.
 */
@Command(
        name = "replay",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        description = {
            "Runs the operator on tensors from safetensors files and writes DIR/<case name>.safetensors for each.",
            "",
            "A case holds q [B,Sq,Hq,D], k [B,Sk,Hkv,D], v [B,Sk,Hkv,Dv], optionally gate [B,Sq,Hq,Dv] and norm_weight [Hq,Dv],"
                    + " whose axes may be 1; all F32, BF16 or F16. Its metadata may hold causal, window_left, window_right, scale,"
                    + " activation, combination, pre, norm_eps and round_before_gate.",
            "",
            "Sequences of their own lengths are described by I32 tensors: query_lengths, key_lengths, key_starts [B], or"
                    + " cu_seqlens_q, cu_seqlens_k [B+1] where they are packed, or block_table [B,N] for a paged cache.",
            "",
            "Keys and values may be narrower than q of F32, or I8 with k_scale and v_scale [B,Sk,Hkv].",
            "",
            "With dout [B,Sq,Hq,Dv], the gradient of the result, a case also gets dq, dk, dv, and dgate, dnorm_weight and dsink for"
                    + " what of these it has.",
            "",
            "A case with partial_out [N,B,Sq,Hq,Dv] and partial_lse [N,B,Hq,Sq] merges partial results over disjoint keys.",
            "",
            "All cases are checked before the first result is written.",
            ""
        },
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {
            "0:every result was written",
            "1:a defect",
            "2:wrong usage or a wrong case; one sentence says why"
        })
public final class ReplayCommand implements Callable<Integer> {
    private static final int MAX_THREADS = 1024;

    @Spec
    private CommandSpec spec;

    @Option(
            names = "--backend",
            paramLabel = "NAME",
            description = "Where to compute: cpu or java. Default: cpu where it is available.")
    private @Nullable String backend;

    @Option(
            names = "--threads",
            paramLabel = "N",
            description = "Threads per call, 1 to 1024. Default: all processors of this JVM.")
    private @Nullable Integer threads;

    @Option(
            names = "--max-isa",
            paramLabel = "NAME",
            description =
                    "The best instruction set allowed: scalar, neon, avx2, avx512, avx512_bf16 or amx_bf16. Default: no limit.")
    private @Nullable String maxIsa;

    @Option(
            names = "--out",
            paramLabel = "DIR",
            required = true,
            description = "Directory for the results, made when missing.")
    private String out;

    @Parameters(paramLabel = "CASE", arity = "1..*", description = "Safetensors files.")
    private List<String> cases;

    @Override
    public Integer call() {
        ReplayOptions options = options();
        Path directory = Paths.parse("--out", out);
        Map<Path, Path> targets = ReplayTargets.of(directory, cases);
        targets.keySet().forEach(file -> check(file, options));
        ReplayTargets.create(directory);
        targets.forEach((file, target) -> run(file, target, options));
        return 0;
    }

    private ReplayOptions options() {
        int number =
                threads == null ? Math.min(MAX_THREADS, Runtime.getRuntime().availableProcessors()) : threads;
        if (number < 1 || number > MAX_THREADS) {
            throw new InputException("--threads is " + number + ", it must be 1 to " + MAX_THREADS);
        }
        Optional<InstructionSet> cap =
                Optional.ofNullable(maxIsa).map(name -> Names.parse(InstructionSet.class, "--max-isa", name));
        return new ReplayOptions(Backends.named(backend), number, cap);
    }

    /** Reads and plans a case without computing it. */
    private static void check(Path file, ReplayOptions options) {
        try (Arena arena = Arena.ofShared()) {
            SafetensorsFile content = ReplayCase.content(file, arena);
            if (MergeCase.is(content)) {
                MergeCase.of(file, content, arena).attention(options).close();
                return;
            }
            ReplayCase replay = ReplayCase.of(file, content, arena);
            try (GatedAttention attention = replay.attention(options)) {
                Plans.of(file, replay, attention);
            }
        }
    }

    /** What the calls of a case do; asking for it checks them. */
    private record Plans(Plan forward, Optional<Plan> backward) {
        static Plans of(Path file, ReplayCase replay, GatedAttention attention) {
            return ReplayCase.naming(
                    file,
                    () -> new Plans(
                            attention.explain(replay.operands()),
                            replay.backward().map(attention::explain)));
        }

        Optional<String> backwardKernel() {
            return backward.map(Plan::kernel);
        }

        String kernels() {
            return forward.kernel()
                    + backwardKernel().map(name -> " and " + name).orElse("");
        }
    }

    private void run(Path file, Path target, ReplayOptions options) {
        try (Arena arena = Arena.ofShared()) {
            SafetensorsFile content = ReplayCase.content(file, arena);
            if (MergeCase.is(content)) {
                merge(file, target, MergeCase.of(file, content, arena), options);
                return;
            }
            ReplayCase replay = ReplayCase.of(file, content, arena);
            try (GatedAttention attention = replay.attention(options)) {
                Plans plans = Plans.of(file, replay, attention);
                long start = System.nanoTime();
                ReplayCase.naming(file, () -> {
                    attention.forward(replay.operands());
                    replay.backward().ifPresent(attention::backward);
                    return plans;
                });
                double milliseconds = (System.nanoTime() - start) / 1e6;
                write(target, replay.results(), attention, plans.forward().kernel(), plans.backwardKernel());
                report(file, attention, plans.kernels(), milliseconds, target);
            }
        }
    }

    private void merge(Path file, Path target, MergeCase merge, ReplayOptions options) {
        try (GatedAttention attention = merge.attention(options)) {
            long start = System.nanoTime();
            merge.merge(attention);
            double milliseconds = (System.nanoTime() - start) / 1e6;
            write(target, Map.of("out", merge.out(), "lse", merge.lse()), attention, "merge", Optional.empty());
            report(file, attention, "merge", milliseconds, target);
        }
    }

    private void report(Path file, GatedAttention attention, String kernels, double milliseconds, Path target) {
        PrintWriter console = spec.commandLine().getOut();
        console.println(Text.line(String.format(
                Locale.ROOT,
                "%s: %s, %s, %d threads, %.3f ms -> %s",
                file,
                kernels,
                Names.of(attention.instructionSet()),
                attention.threads(),
                milliseconds,
                target)));
        console.flush();
    }

    private static void write(
            Path target,
            Map<String, Tensor> tensors,
            GatedAttention attention,
            String kernel,
            Optional<String> backwardKernel) {
        Map<String, SafetensorsTensor> results = new LinkedHashMap<>();
        tensors.forEach((name, tensor) -> results.put(name, stored(name, tensor)));
        Map<String, String> metadata = new LinkedHashMap<>(Map.of(
                "backend", attention.backend().name(),
                "kernel", kernel,
                "instruction_set", Names.of(attention.instructionSet()),
                "threads", Integer.toString(attention.threads()),
                "version", Version.current()));
        backwardKernel.ifPresent(name -> metadata.put("backward_kernel", name));
        try {
            SafetensorsFile.write(target, results, metadata);
        } catch (SafetensorsException e) {
            throw new InputException(String.valueOf(e.getMessage()), e);
        }
    }

    private static SafetensorsTensor stored(String name, Tensor tensor) {
        return new SafetensorsTensor(
                name, SafetensorsType.valueOf(tensor.dataType().name()), tensor.shape(), tensor.segment());
    }
}
