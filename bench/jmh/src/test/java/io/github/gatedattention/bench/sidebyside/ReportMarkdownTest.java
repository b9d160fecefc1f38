package io.github.gatedattention.bench.sidebyside;

import static org.assertj.core.api.Assertions.assertThat;

import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class ReportMarkdownTest {
    private final Document document = Documents.complete();
    private final String text = ReportMarkdown.text(document);

    @Test
    void aRowHasMedianSpreadRatePeakShareAndError() {
        // 16 heads * 128 * 129 / 2 pairs * 4 * 128 operations, at 500 GFLOP/s and half of that
        assertThat(text.lines())
                .contains("| S128 | this library, bf16 | 0.135 | 0.127 to 0.143 | 1,234 | 500 GFLOP/s"
                        + " | 500 GFLOP/s, vdpbf16ps | 100 % | 3.3e-07 |")
                .contains("| S128 | this library, f32 | 0.271 | 0.254 to 0.287 | 1,234 | 250 GFLOP/s"
                        + " | 500 GFLOP/s, f32 FMA | 50 % | 3.3e-07 |");
    }

    @Test
    void everyEntryOfEverySectionHasARow() {
        for (Measured row : document.rows()) {
            String start = "| " + row.entry().workload() + " | "
                    + row.entry().implementation().title() + " |";
            assertThat(text).contains(start);
        }
    }

    @Test
    void aGapHasAReason() {
        assertThat(text.lines())
                .contains("| S4096 | plain Java loops, f32 | not measured | – | – | – | – | – | – |")
                .contains("- S4096, plain Java loops, f32: " + Documents.REASON);
    }

    @Test
    void stagesStandBesideWhatIsLeft() {
        assertThat(text.lines())
                .contains("| workload | type | median ms | keys | row ends | values | rest |")
                .contains("| S128 | bf16 | 0.141 | 25.0 % | 50.0 % | – | 25.0 % |")
                .contains("| S512 | f32 | 2.80 | 12.5 % | 25.0 % | 50.0 % | 12.5 % |");
    }

    @Test
    void stagesThatCouldNotBeMeasuredHaveAReason(@TempDir Path repository) throws Exception {
        Stages stages = Stages.measure(repository, 2);
        assertThat(stages.absence()).contains("build-stages/native/bench/stages is not built");
        Document without = new Document("", "", "", 2, false, "", Map.of(), Map.of(), stages, List.of());
        assertThat(ReportMarkdown.text(without)).contains("Not measured: " + stages.absence());
    }

    @Test
    void everyRowHasTheCellsOfItsHead() {
        List<String> tables = text.lines().filter(line -> line.startsWith("|")).toList();
        long cells = 0;
        for (String line : tables) {
            long here = line.chars().filter(c -> c == '|').count();
            cells = line.startsWith("| workload") ? here : cells;
            assertThat(here).as(line).isEqualTo(cells);
        }
    }

    @Test
    void sectionsShowTheirPictures() {
        for (Picture picture : Picture.values()) {
            assertThat(text).contains("](" + picture.file() + ")");
        }
    }

    @Test
    void theReadmeShowsSharesGapsAndWhereTheRestIs() {
        String readme = ReadmeText.of(document, "bench/results/here");
        assertThat(readme.lines())
                .contains("| **this library, bf16** | **0.135** | **2.15** | **8.60** | **34.4** | **137** | **17.2** |"
                        + " **0.0336** | 3.3e-07 |")
                .contains("| *this library's share of the peak, bf16 / f32* | 100 % / 50 % | 100 % / 50 % |"
                        + " 100 % / 50 % | 100 % / 50 % | 100 % / 50 % | 100 % / 50 % | 100 % / 50 % |  |")
                .contains("| plain Java loops, f32 | – | – | – | – | – | – | – | – |")
                .contains("–: not measured; the [report](bench/results/here/report.md) says why.");
        assertThat(readme)
                .contains("Processor, 2 processors, 2 threads, VM 25, 2026-01-31")
                .contains("](bench/results/here/prefill-f32.png)")
                .doesNotContain("NaN");
    }
}
