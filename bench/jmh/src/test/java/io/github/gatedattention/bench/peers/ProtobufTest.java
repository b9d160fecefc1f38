package io.github.gatedattention.bench.peers;

import static org.assertj.core.api.Assertions.assertThat;

import org.junit.jupiter.api.Test;

class ProtobufTest {
    /** The examples of the encoding's own documentation: protobuf.dev/programming-guides/encoding. */
    @Test
    void writesTheDocumentedExamples() {
        assertThat(new Protobuf().integer(1, 150).toByteArray()).containsExactly(0x08, 0x96, 0x01);
        assertThat(new Protobuf().text(2, "testing").toByteArray())
                .containsExactly(0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67);
        assertThat(new Protobuf().message(3, new Protobuf().integer(1, 150)).toByteArray())
                .containsExactly(0x1a, 0x03, 0x08, 0x96, 0x01);
    }

    @Test
    void writesFieldNumbersAboveFifteenInTwoBytes() {
        assertThat(new Protobuf().integer(20, 2).toByteArray()).containsExactly(0xa0, 0x01, 0x02);
    }
}
