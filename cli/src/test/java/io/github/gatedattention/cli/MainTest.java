package io.github.gatedattention.cli;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class MainTest {
    @Test
    void noCommand() {
        Outcome.of().refused("Missing required subcommand (see ga --help)");
    }

    @Test
    void unknownCommandAndOption() {
        assertThat(Outcome.of("dance")).satisfies(outcome -> {
            assertThat(outcome.code()).isEqualTo(2);
            assertThat(outcome.err()).contains("dance").hasLineCount(1);
        });
        assertThat(Outcome.of("doctor", "--loud")).satisfies(outcome -> {
            assertThat(outcome.code()).isEqualTo(2);
            assertThat(outcome.err())
                    .contains("--loud", "(see ga doctor --help)")
                    .hasLineCount(1);
        });
    }

    @Test
    void versionNamesTheBuildAndTheLibrary() {
        String text = Outcome.of("--version").succeeded().out();
        assertThat(text)
                .startsWith("gated-attention " + Version.current())
                .contains("Java 2")
                .hasLineCount(3);
        assertThat(Version.current()).matches("\\d+\\.\\d+\\.\\d+.*");
    }

    @Test
    void helpListsCommandsAndExitCodes() {
        assertThat(Outcome.of("--help").succeeded().out())
                .contains("demo", "doctor", "replay", "Exit codes:", "wrong input");
        assertThat(Outcome.of("replay", "--help").succeeded().out())
                .contains("--backend", "--threads", "--max-isa", "--out", "CASE", "window_left");
    }
}
