package io.github.gatedattention.bench.sidebyside;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import org.junit.jupiter.api.Test;

class DocumentJsonTest {
    @Test
    void isReadAsItWasWritten() {
        Document document = Documents.complete();
        assertThat(DocumentJson.read(DocumentJson.write(document))).isEqualTo(document);
    }

    @Test
    void aRowHasFiguresOrAReason() {
        assertThat(DocumentJson.write(Documents.complete()).lines())
                .filteredOn(line -> line.contains("\"section\":\"PREFILL\",\"workload\":\"S128\""))
                .anySatisfy(line -> assertThat(line)
                        .contains("\"implementation\":\"GATED_ATTENTION_BF16\",\"threads\":2,\"median_ns\":")
                        .contains("\"limit\":\"dot_bf16 2\",\"peak\":500.0,\"share\":"))
                .anySatisfy(line -> assertThat(line)
                        .contains("\"implementation\":\"PLAIN_JAVA_F32\",\"threads\":2,\"absence\":\""
                                + Documents.REASON));
    }

    @Test
    void saysWhatIsMissing() {
        assertThatThrownBy(() -> DocumentJson.read("{}")).hasMessage("the report's JSON lacks 'date'");
    }
}
