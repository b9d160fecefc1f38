package io.github.gatedattention.train;

import io.github.gatedattention.cli.Main;
import io.github.gatedattention.cli.Version;
import picocli.CommandLine;
import picocli.CommandLine.Command;

/** The commands of {@code ga} that train. */
@Command(
        name = "ga",
        mixinStandardHelpOptions = true,
        versionProvider = Version.class,
        subcommands = {TrainCommand.class, ReproduceCommand.class},
        description = "Trains a small language model with gated attention on this machine's processor.",
        synopsisSubcommandLabel = "COMMAND",
        exitCodeListHeading = "%nExit codes:%n",
        exitCodeList = {"0:done", "1:training diverged, or a defect", "2:wrong usage or wrong input"})
final class TrainMain {
    private TrainMain() {}

    /** Runs a command and ends the JVM with its exit code. */
    public static void main(String[] arguments) {
        int code = commandLine().execute(arguments);
        System.out.flush();
        System.exit(code);
    }

    static CommandLine commandLine() {
        return Main.commandLine(new TrainMain());
    }
}
