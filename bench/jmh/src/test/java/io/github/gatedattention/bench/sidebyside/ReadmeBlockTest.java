package io.github.gatedattention.bench.sidebyside;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.Test;

class ReadmeBlockTest {
    private static final String BEFORE = "# Title\n\n" + ReadmeBlock.BEGIN + "\nold\n| table |\n";
    private static final String AFTER = ReadmeBlock.END + "\n\nThe rest.\n";

    @Test
    void replacesWhatIsBetweenTheCommentsAndNothingElse() {
        assertThat(ReadmeBlock.replace(BEFORE + AFTER, "\n\nnew\n\n"))
                .isEqualTo("# Title\n\n" + ReadmeBlock.BEGIN + "\nnew\n" + AFTER);
    }

    @Test
    void replacingTwiceIsReplacingOnce() {
        String once = ReadmeBlock.replace(BEFORE + AFTER, "new");
        assertThat(ReadmeBlock.replace(once, "new")).isEqualTo(once);
    }

    @Test
    void refusesATextThatHasNotBothCommentsOnce() {
        assertThatThrownBy(() -> ReadmeBlock.replace("# Title", "new"))
                .hasMessage("README.md must have the line '" + ReadmeBlock.BEGIN + "' once");
        assertThatThrownBy(() -> ReadmeBlock.replace(BEFORE + AFTER + AFTER, "new"))
                .hasMessage("README.md must have the line '" + ReadmeBlock.END + "' once");
        assertThatThrownBy(() -> ReadmeBlock.replace(AFTER + BEFORE, "new")).hasMessageContaining("before");
    }

    @Test
    void theReadmeOfThisRepositoryHasBoth() throws Exception {
        String readme = Files.readString(Path.of("../../README.md"));
        assertThat(ReadmeBlock.replace(readme, "new")).contains(ReadmeBlock.BEGIN + "\nnew\n" + ReadmeBlock.END);
    }
}
