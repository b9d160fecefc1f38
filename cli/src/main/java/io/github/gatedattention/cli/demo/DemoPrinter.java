package io.github.gatedattention.cli.demo;

import io.github.gatedattention.Plan;
import io.github.gatedattention.cli.Machine;
import io.github.gatedattention.cli.Names;
import java.io.PrintWriter;
import java.util.List;
import java.util.Locale;

/** The demo's text: sections with aligned columns. */
final class DemoPrinter {
    private final PrintWriter out;

    DemoPrinter(PrintWriter out) {
        this.out = out;
    }

    void machine(Machine machine, String library, int threads) {
        line(
                "machine    %s, %d cores, %d GiB, %s",
                machine.processor(), machine.cores(), machine.memoryGib(), machine.system());
        line("java       %s", machine.java());
        line("library    %s", library);
        line("threads    %d", threads);
    }

    void official(List<OfficialVector.Result> results) {
        line("");
        line("1. A layer of the official implementation");
        line("   elementwise sigmoid gate, causal, Hq 4, Hkv 2, D 64, 33 tokens; its output is known in float64");
        line("");
        line("   %-6s %14s %16s %14s %16s", "type", "difference", "of which inputs", "of the lse", "of allowed error");
        for (OfficialVector.Result result : results) {
            line(
                    "   %-6s %14s %16s %14s %16s   %s",
                    Names.of(result.type()),
                    Numbers.small(result.toOfficial()),
                    Numbers.small(result.ofInputs()),
                    Numbers.small(result.lseToOfficial()),
                    percent(result.accuracy().share()),
                    verdict(result.accuracy()));
        }
        line("");
        line(
                "   difference: the largest to the official output; inputs: what rounding them to the type costs in exact arithmetic");
    }

    void layer() {
        line("");
        line("2. An attention layer of Qwen3-Next");
        line(
                "   elementwise sigmoid gate, causal, bf16, Hq %d, Hkv %d, D %d; query and gate are views of one packed projection",
                Layer.QUERY_HEADS, Layer.KEY_VALUE_HEADS, Layer.DIM);
        line("");
    }

    void comparison(Comparison comparison, String why) {
        plan(
                String.format(Locale.ROOT, "prefill, %,d tokens", Layer.PROMPT),
                comparison.prefillPlan(),
                comparison.prefill());
        plan(Layer.STEPS + " decode steps", comparison.decodePlan(), comparison.decode());
        line("   %s", why);
        line("");
        Contestant own = comparison.contestants().getFirst();
        line("   %-22s %12s %6s %18s %12s %6s %9s", "", "prefill", "", "", "decode/token", "", "error");
        for (Contestant contestant : comparison.contestants()) {
            line(
                    "   %-22s %9s ms %6s %10s GFLOP/s %9s ms %6s %9s",
                    contestant.name(),
                    Numbers.significant(contestant.prefillSeconds() * 1e3),
                    Numbers.ratio(contestant.prefillSeconds() / own.prefillSeconds()),
                    Numbers.significant(comparison.prefillPlan().flop() / contestant.prefillSeconds() / 1e9),
                    Numbers.significant(contestant.decodeSeconds() * 1e3),
                    Numbers.ratio(contestant.decodeSeconds() / own.decodeSeconds()),
                    Numbers.small(contestant.error()));
        }
        line("");
        line(
                "   medians; error: relative to float64 on the same bf16 inputs, so f32 shows its own rounding and bf16 that of its output");
        if (!JavaContestants.hasVectorApi()) {
            line("   the Vector API was left out: start java with --add-modules=jdk.incubator.vector");
        }
    }

    private void plan(String what, Plan plan, Accuracy accuracy) {
        line(
                "   %-22s %s, %d threads, %d tasks of %d query rows, %d keys per step; %s of the allowed error   %s",
                what,
                plan.kernel(),
                plan.threads(),
                plan.tasks(),
                plan.queryBlock(),
                plan.keyBlock(),
                percent(accuracy.share()),
                verdict(accuracy));
    }

    private static String percent(double share) {
        return String.format(Locale.ROOT, "%.0f %%", share * 100);
    }

    private static String verdict(Accuracy accuracy) {
        return accuracy.isRight() ? "right" : "WRONG";
    }

    /** A line, shown at once: what follows it may take a while. */
    @SuppressWarnings("AnnotateFormatMethod")
    void line(String format, Object... arguments) {
        out.println(
                arguments.length == 0
                        ? format
                        : String.format(Locale.ROOT, format, arguments).stripTrailing());
        out.flush();
    }
}
