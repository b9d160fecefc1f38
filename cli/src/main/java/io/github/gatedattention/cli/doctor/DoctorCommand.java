package io.github.gatedattention.cli.doctor;

import io.github.gatedattention.cli.Version;
import java.io.PrintWriter;
import java.util.concurrent.Callable;
import picocli.CommandLine.Command;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Says what is loaded and from where, what is in use, and why nothing better is. */
@Command(
        name = "doctor",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        description = {
            "Says what is loaded and from where, which instruction set is in use and why no better one,",
            "threads, native access, the temporary directory, each backend or why it is absent, and whether",
            "the pure Java one runs on the Vector API or in plain loops, and why.",
            ""
        })
public final class DoctorCommand implements Callable<Integer> {
    @Spec
    private CommandSpec spec;

    @Option(names = "--json", description = "Print one JSON object; docs/cli.md lists its keys.")
    private boolean json;

    @Override
    public Integer call() {
        Report report = Diagnosis.make();
        PrintWriter out = spec.commandLine().getOut();
        if (json) {
            out.println(ReportPrinter.json(report));
        } else {
            ReportPrinter.print(report, out);
        }
        out.flush();
        return 0;
    }
}
