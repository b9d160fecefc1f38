package io.github.gatedattention.train;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.PrintWriter;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import picocli.CommandLine.ExitCode;

class TrainCommandTest {
    private static final List<String> TINY = List.of(
            "--layers=1", "--width=32", "--heads=2", "--kv-heads=1", "--head-dim=8", "--context=32", "--batch=2");

    @Test
    void trainsStopsAndContinues(@TempDir Path directory) throws Exception {
        Path whole = directory.resolve("whole.safetensors");
        Path half = directory.resolve("half.safetensors");
        Path rest = directory.resolve("rest.safetensors");
        String text = run(0, "train", "--steps=8", "--gate=headwise", "--checkpoint=" + whole);
        assertThat(text)
                .contains("headwise gate", "8/8", "validation loss", "layer 0: first-token attention", "mean gate")
                .contains("checkpoint of step 8: " + whole);
        run(0, "train", "--steps=8", "--gate=headwise", "--checkpoint=" + half, "--stop-at=5");
        String resumed = run(0, List.of(), "train", "--resume=" + half, "--checkpoint=" + rest, "--checkpoint-every=2");
        assertThat(resumed).contains("headwise gate", "checkpoint of step 8");
        assertThat(Files.mismatch(whole, rest)).isEqualTo(-1);
        assertThat(run(2, List.of(), "train", "--resume=" + half, "--seed=3"))
                .isEqualTo("--seed is given with --resume " + half
                        + ", but a run that continues has the settings of its checkpoint");
        assertThat(run(2, List.of(), "train", "--resume=" + whole))
                .isEqualTo("the run stands at step 8 of 8, so it cannot end at step 8");
    }

    @Test
    void aLossThatIsNotFiniteEndsTheRun() {
        assertThat(run(1, "train", "--steps=40", "--warmup=0", "--learning-rate=1e30", "--weight-decay=0"))
                .contains("diverged: the loss of step", "try a lower --learning-rate than 1.0E30");
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            --gate=softplus       | --gate is "softplus", allowed are elementwise, headwise, none, ns-sigmoid, input-independent
            --gate=NS_SIGMOID     | --gate is "NS_SIGMOID", allowed are elementwise, headwise, none, ns-sigmoid, input-independent
            --width=100           | --width is 100, but must be a multiple of 8 from 8 to 4096
            --heads=3 --kv-heads=2| --heads is 3, but must be a multiple of --kv-heads, 2
            --head-dim=12         | --head-dim is 12, but must be a multiple of 8 from 8 to 512
            --context=1           | --context is 1, but must be 2 to 65536
            --layers=0            | --layers is 0, but must be 1 to 64
            --batch=0             | --batch is 0, but must be 1 to 4096
            --batch=4096 --context=65536 | --batch times --context is 268435456, but must be 2 to 1048576
            --steps=0             | --steps is 0, but must be 1 to 100000000
            --warmup=-1           | --warmup is -1, but must be 0 to 100000000
            --learning-rate=0     | --learning-rate is 0.0, but must be finite and above 0
            --learning-rate=NaN   | --learning-rate is NaN, but must be finite and above 0
            --weight-decay=-1     | --weight-decay is -1.0, but must be finite and at least 0
            --clip=Infinity       | --clip is Infinity, but must be finite and above 0
            --stop-at=9 --steps=8 | the run stands at step 0 of 8, so it cannot end at step 9
            --checkpoint-every=5  | --checkpoint-every is 5, but there is no --checkpoint to write to
            --steps=many          | Invalid value for option '--steps': 'many' is not an int (see ga train --help)
            """)
    void badOptionsAreRefusedInOneSentence(String options, String sentence) {
        List<String> arguments =
                Stream.concat(Stream.of("train"), Stream.of(options.split(" "))).toList();
        assertThat(run(2, List.of(), arguments.toArray(String[]::new))).isEqualTo(sentence);
    }

    @Test
    void helpListsBothCommands() {
        assertThat(run(0, List.of(), "--help")).contains("train", "reproduce", "Exit codes:");
    }

    @Test
    void badTextsAreRefused(@TempDir Path directory) throws Exception {
        Path little = Files.writeString(directory.resolve("little.txt"), "too little");
        assertThat(run(2, List.of(), "train", "--text=" + little))
                .isEqualTo("--text little.txt has 10 bytes, but --context 256 needs at least 2580");
        assertThat(run(2, List.of(), "train", "--text=" + directory))
                .isEqualTo("--text " + directory + " cannot be read: it is no regular file");
        Path absent = directory.resolve("absent.txt");
        assertThat(run(2, List.of(), "train", "--text=" + absent))
                .isEqualTo("--text " + absent + " cannot be read: NoSuchFileException: " + absent);
    }

    @ParameterizedTest
    @CsvSource(delimiter = '|', textBlock = """
            --steps=9             | --steps is 9, but must be 10 to 1000000
            --seeds=0             | --seeds is 0, but must be 1 to 100
            --out=                | --out is the empty string, a path is expected
            """)
    void badOptionsOfReproduceAreRefused(String option, String sentence) {
        assertThat(run(2, List.of(), "reproduce", option)).isEqualTo(sentence);
    }

    /** Runs a command with a tiny model; returns what it printed, or the sentence of its refusal. */
    private static String run(int code, String... arguments) {
        return run(code, TINY, arguments);
    }

    private static String run(int code, List<String> more, String... arguments) {
        var out = new StringWriter();
        var err = new StringWriter();
        String[] all = Stream.concat(Stream.of(arguments), more.stream()).toArray(String[]::new);
        assertThat(TrainMain.commandLine()
                        .setOut(new PrintWriter(out))
                        .setErr(new PrintWriter(err))
                        .execute(all))
                .as(err.toString())
                .isEqualTo(code);
        if (code == ExitCode.USAGE) {
            assertThat(out.toString()).isEmpty();
            assertThat(err.toString()).hasLineCount(1);
            return err.toString().strip();
        }
        return out.toString();
    }
}
