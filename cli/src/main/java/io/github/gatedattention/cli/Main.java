package io.github.gatedattention.cli;

import io.github.gatedattention.GatedAttentionException;
import io.github.gatedattention.Status;
import io.github.gatedattention.cli.demo.DemoCommand;
import io.github.gatedattention.cli.doctor.DoctorCommand;
import io.github.gatedattention.cli.replay.ReplayCommand;
import java.io.PrintWriter;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.ExitCode;
import picocli.CommandLine.ParameterException;

/** The command {@code ga}: finds the subcommand, turns failures into one sentence and an exit code. */
@Command(
        name = "ga",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        subcommands = {DemoCommand.class, DoctorCommand.class, ReplayCommand.class},
        description = "Gated attention on this machine's processor.",
        synopsisSubcommandLabel = "COMMAND",
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {"0:done", "1:a check failed, or a defect", "2:wrong usage or wrong input"})
public final class Main {
    private Main() {}

    /** Runs a command and ends the JVM with its exit code. */
    public static void main(String[] arguments) {
        int code = commandLine().execute(arguments);
        System.out.flush();
        System.exit(code);
    }

    /** The parser with all commands, writing to standard output and error unless told otherwise. */
    public static CommandLine commandLine() {
        return commandLine(new Main());
    }

    /** A parser of other commands that ends and fails as this one does. */
    public static CommandLine commandLine(Object root) {
        return new CommandLine(root)
                .setParameterExceptionHandler((e, arguments) -> reportUsage(e))
                .setExecutionExceptionHandler((e, command, result) -> report(e, command));
    }

    private static int reportUsage(ParameterException e) {
        CommandLine command = e.getCommandLine();
        String message = String.valueOf(e.getMessage()).lines().findFirst().orElse("wrong usage");
        printError(command, message + " (see " + command.getCommandSpec().qualifiedName() + " --help)");
        return ExitCode.USAGE;
    }

    private static int report(Exception e, CommandLine command) {
        // Whatever else the library refuses, it was asked for by an option or an environment variable.
        boolean refused = e instanceof GatedAttentionException failure && failure.status() != Status.INTERNAL;
        if (refused || e instanceof InputException) {
            printError(command, String.valueOf(e.getMessage()));
            return ExitCode.USAGE;
        }
        PrintWriter err = command.getErr();
        err.println("This is a defect of the library, please report it:");
        e.printStackTrace(err);
        err.flush();
        return ExitCode.SOFTWARE;
    }

    private static void printError(CommandLine command, String message) {
        command.getErr().println(message);
        command.getErr().flush();
    }
}
