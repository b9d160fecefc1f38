package io.github.gatedattention.safetensors;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.catchThrowableOfType;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import org.assertj.core.api.AbstractStringAssert;

/** Bytes of a file, valid or not, and what the reader makes of them. */
final class RawFile {
    /** A valid description of 2 x 3 floats, to put beside a wrong one. */
    static final String GOOD = "\"good\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]}";

    private RawFile() {}

    /** Length, header, data. */
    static byte[] of(String header, byte... data) {
        return of(header.getBytes(UTF_8), data);
    }

    static byte[] of(byte[] header, byte... data) {
        return withLength(header.length, header, data);
    }

    /** A file that claims any length. */
    static byte[] withLength(long length, byte[] header, byte... data) {
        return ByteBuffer.allocate(8 + header.length + data.length)
                .order(ByteOrder.LITTLE_ENDIAN)
                .putLong(length)
                .put(header)
                .put(data)
                .array();
    }

    /** The JSON of a header with one tensor, given as the text of its three values. */
    static String tensor(String dtype, String shape, String offsets) {
        return "{\"t\":{\"dtype\":" + dtype + ",\"shape\":" + shape + ",\"data_offsets\":" + offsets + "}}";
    }

    /** Asserts that the reader refuses these bytes and hands on the message without the file's name. */
    static AbstractStringAssert<?> refused(Path directory, byte[] content) throws IOException {
        return refused(Files.write(directory.resolve("case.safetensors"), content));
    }

    /** Asserts that the reader refuses the file, that the message names it and is one line. */
    static AbstractStringAssert<?> refused(Path file) {
        var thrown = catchThrowableOfType(SafetensorsException.class, () -> {
            try (Arena arena = Arena.ofConfined()) {
                SafetensorsFile.read(file, arena);
            }
        });
        assertThat(thrown).as("%s is refused", file).isNotNull();
        assertThat(thrown).hasMessage(thrown.file() + ": " + thrown.problem());
        assertThat(thrown.file()).isEqualTo(file.toString());
        assertThat(thrown.problem()).doesNotContainPattern("\\R").hasSizeLessThan(600);
        return assertThat(thrown.problem());
    }
}
