package io.github.gatedattention.bench;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Path;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ArgumentsTest {
    @Test
    void everythingIsOptional() {
        Arguments arguments = Arguments.parse(new String[0]);
        assertThat(arguments.pattern()).isEqualTo(".*");
        assertThat(arguments.fullLength()).isFalse();
        assertThat(arguments.fileName("jmh", ".json")).isEqualTo("jmh.json");
        assertThat(arguments.resultsOr(Path.of("usual"))).isEqualTo(Path.of("usual"));
        assertThat(arguments.matches(ForwardBenchmark.class)).isTrue();
    }

    @Test
    void optionsAndPatternComeInAnyOrder() {
        Arguments arguments =
                Arguments.parse(new String[] {"--threads", "4", "Over|Late", "--full-length", "--results", "there"});
        assertThat(arguments.threads()).isEqualTo(4);
        assertThat(arguments.fullLength()).isTrue();
        assertThat(arguments.resultsOr(Path.of("usual"))).isEqualTo(Path.of("there"));
        assertThat(arguments.fileName("jmh", ".json")).isEqualTo("jmh-Over-Late.json");
        assertThat(arguments.matches(ForwardBenchmark.class)).isFalse();
        assertThat(arguments.matches(DecodeLatencyBenchmark.class)).isTrue();
    }

    @Test
    void aReportMayHaveAPatternOrGoToTheReadme() {
        assertThat(Arguments.parse(new String[0]).report()).isFalse();
        assertThat(Arguments.parse(new String[] {"--report", "S128"}).pattern()).isEqualTo("S128");
        Arguments again = Arguments.parse(new String[] {"--readme", "--redraw", "--report"});
        assertThat(again.report() && again.redraw() && again.readme()).isTrue();
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            value = {
                "--fast | '--fast' is not understood; see ./ga bench --help",
                "one two | 'two' is not understood; see ./ga bench --help",
                "--readme | --readme needs --report",
                "--redraw | --redraw needs --report",
                "--report --readme S128 | README.md shows whole reports: --readme takes no pattern",
                "--threads | --threads needs a value; see ./ga bench --help",
                "--threads two | --threads is two; it must be a number of at least 1",
                "--threads 0 | --threads is 0; it must be a number of at least 1",
                "( | the pattern '(' is no regular expression: Unclosed group"
            },
            quoteCharacter = '"')
    void refusesWhatItDoesNotUnderstand(String line, String message) {
        assertThatThrownBy(() -> Arguments.parse(line.split(" ")))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage(message);
    }
}
