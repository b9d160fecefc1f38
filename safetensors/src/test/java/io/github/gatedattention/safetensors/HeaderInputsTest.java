package io.github.gatedattention.safetensors;

import static io.github.gatedattention.safetensors.RawFile.GOOD;
import static io.github.gatedattention.safetensors.RawFile.of;
import static io.github.gatedattention.safetensors.RawFile.refused;
import static io.github.gatedattention.safetensors.RawFile.withLength;
import static java.nio.charset.StandardCharsets.ISO_8859_1;
import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;
import static org.junit.jupiter.api.Assertions.assertTimeout;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Bad headers, one test each, by their numbers in the list of bad inputs. */
class HeaderInputsTest {
    private static final byte[] EMPTY_OBJECT = "{}".getBytes(UTF_8);

    @TempDir
    Path directory;

    @Test
    @DisplayName("input 1: empty file")
    void emptyFile() throws IOException {
        refused(directory, new byte[0]).isEqualTo("is empty (0 bytes); a safetensors file has at least 10");
    }

    @Test
    @DisplayName("input 2: fewer than 8 bytes")
    void fewerThanEightBytes() throws IOException {
        refused(directory, new byte[7]).isEqualTo("has 7 bytes, the header's length alone takes 8");
    }

    @Test
    @DisplayName("input 3: header length 0")
    void lengthZero() throws IOException {
        refused(directory, withLength(0, EMPTY_OBJECT))
                .isEqualTo("says that its header has 0 bytes, the smallest header, {}, has 2");
    }

    @Test
    @DisplayName("input 4: header length 1")
    void lengthOne() throws IOException {
        refused(directory, withLength(1, EMPTY_OBJECT))
                .isEqualTo("says that its header has 1 bytes, the smallest header, {}, has 2");
    }

    @Test
    @DisplayName("input 5: header longer than the file")
    void longerThanFile() throws IOException {
        refused(directory, withLength(3, EMPTY_OBJECT))
                .isEqualTo("says that its header has 3 bytes, only 2 follow: it is cut off or no safetensors file");
    }

    @Test
    @DisplayName("input 6: header length above the format's limit")
    void aboveLimit() throws IOException {
        refused(directory, withLength(100_000_001, EMPTY_OBJECT))
                .isEqualTo("says that its header has 100000001 bytes, the format allows at most 100000000");
    }

    @Test
    @DisplayName("input 7: header length 2^63")
    void twoTo63() throws IOException {
        refused(directory, withLength(Long.MIN_VALUE, EMPTY_OBJECT))
                .contains("header has 9223372036854775808 bytes", "100000000");
    }

    @Test
    @DisplayName("input 8: header length 2^64 - 1")
    void twoTo64Minus1() throws IOException {
        refused(directory, withLength(-1, EMPTY_OBJECT)).contains("header has 18446744073709551615 bytes", "100000000");
    }

    @Test
    @DisplayName("input 9: header length that wraps when 8 is added")
    void wraps() throws IOException {
        refused(directory, withLength(-8, EMPTY_OBJECT)).contains("header has 18446744073709551608 bytes", "100000000");
        refused(directory, withLength(Long.MAX_VALUE - 3, EMPTY_OBJECT))
                .contains("header has 9223372036854775804 bytes");
    }

    @Test
    @DisplayName("input 10: invalid UTF-8")
    void invalidUtf8() throws IOException {
        byte[] header = "{\"a?\":0}".getBytes(UTF_8);
        header[3] = (byte) 0xff;
        refused(directory, of(header)).isEqualTo("header is not UTF-8: byte 3 of it begins the invalid sequence ff");
        byte[] cut = "{\"a?".getBytes(UTF_8);
        cut[3] = (byte) 0xe2;
        refused(directory, of(cut)).isEqualTo("header is not UTF-8: byte 3 of it begins the invalid sequence e2");
    }

    @Test
    @DisplayName("input 11: overlong and surrogate UTF-8")
    void overlongAndSurrogate() throws IOException {
        refused(directory, of(spliced("{\"a", 0xc1, 0xa1)))
                .contains("header is not UTF-8: byte 3 of it begins the invalid sequence c1");
        refused(directory, of(spliced("{\"", 0xed, 0xa0, 0x80)))
                .contains("header is not UTF-8: byte 2 of it begins the invalid sequence ed");
        refused(directory, of("{\"\\ud800\":{}}"))
                .startsWith("header is not JSON at character")
                .contains("surrogate");
        refused(directory, of("{\"__metadata__\":{\"k\":\"\\udc00\"}}"))
                .contains("metadata value", "lone surrogate U+DC00");
    }

    /** Text, raw bytes, and the end of a header that would be fine otherwise. */
    private static byte[] spliced(String start, int... bytes) {
        var text = new StringBuilder(start);
        for (int b : bytes) {
            text.append((char) b);
        }
        return text.append("\":{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}}")
                .toString()
                .getBytes(ISO_8859_1);
    }

    @Test
    @DisplayName("input 12: truncated JSON")
    void truncatedJson() throws IOException {
        refused(directory, of("{" + GOOD, new byte[24]))
                .isEqualTo("header ends in the middle of its JSON, at character 59");
        refused(directory, of("{\"a\":{\"dtype\":\"F3"))
                .isEqualTo("header ends in the middle of its JSON, at character 17");
    }

    @Test
    @DisplayName("input 13: garbage after the closing brace")
    void trailingGarbage() throws IOException {
        refused(directory, of("{}x")).isEqualTo("header goes on after the brace that closes it at character 2");
        refused(directory, of("{}  {}")).isEqualTo("header goes on after the brace that closes it at character 2");
        refused(directory, of("{}\0\0")).isEqualTo("header goes on after the brace that closes it at character 2");
    }

    @Test
    @DisplayName("padding with spaces is part of the format")
    void paddingIsAccepted() throws IOException {
        Path file = Files.write(directory.resolve("padded"), of("{}      "));
        try (Arena arena = Arena.ofConfined()) {
            assertThat(SafetensorsFile.read(file, arena).tensors()).isEmpty();
        }
    }

    @Test
    @DisplayName("input 14: byte order mark")
    void byteOrderMark() throws IOException {
        refused(directory, of("\ufeff{}"))
                .isEqualTo("header begins with byte 0xef (a byte order mark?), it must begin with 0x7b ('{')");
    }

    @Test
    @DisplayName("input 15: a million levels of nesting")
    void nesting() throws IOException {
        refused(directory, of("{\"a\":" + "[".repeat(1_000_000) + "]".repeat(1_000_000) + "}"))
                .isEqualTo("tensor \"a\" is an array, an object with dtype, shape and data_offsets is expected");
        refused(directory, of("{\"a\":{\"shape\":" + "[".repeat(1_000_000) + "]".repeat(1_000_000) + "}}"))
                .isEqualTo("header breaks a limit: Document nesting depth (4) exceeds the maximum allowed (3)");
        refused(directory, of("{\"a\":".repeat(1_000_000))).contains("unknown field \"a\"");
    }

    @Test
    @DisplayName("input 16: an array at the top")
    void arrayAtTop() throws IOException {
        refused(directory, of("[{}]")).isEqualTo("header begins with byte 0x5b ('['), it must begin with 0x7b ('{')");
    }

    @Test
    @DisplayName("input 17: a name of 50 MB")
    void hugeName() throws IOException {
        refused(directory, of("{\"" + "n".repeat(50_000_000) + "\":{}}"))
                .isEqualTo("header holds a name longer than 4096 characters");
    }

    @Test
    @DisplayName("input 18: a million tensors of no bytes, in time")
    void millionTensors() throws IOException {
        var header = new StringBuilder("{");
        for (int i = 0; i < 1_000_000; i++) {
            header.append(i == 0 ? "\"" : ",\"")
                    .append(i)
                    .append("\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}");
        }
        Path file =
                Files.write(directory.resolve("million"), of(header.append('}').toString()));
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsFile read = assertTimeout(Duration.ofSeconds(30), () -> SafetensorsFile.read(file, arena));
            assertThat(read.tensors()).hasSize(1_000_000).containsKeys("0", "999999");
        }
    }

    @Test
    @DisplayName("input 19: control characters in a name")
    void controlCharacters() throws IOException {
        refused(directory, of("{\"a\\u0000b\":{}}"))
                .isEqualTo("tensor name \"a\\u0000b\" holds the control character U+0000 at position 1");
        refused(directory, of("{\"a\\nb\":{}}"))
                .contains("tensor name \"a\\u000ab\" holds the control character U+000A");
        refused(directory, of("{\"a\u007fb\":{}}")).contains("control character U+007F");
        refused(directory, of("{\"a\nb\":{}}"))
                .startsWith("header is not JSON at character")
                .contains("Illegal unquoted character", "code 10");
    }

    @Test
    @DisplayName("input 20: metadata that is no string")
    void metadataNotString() throws IOException {
        refused(directory, of("{\"__metadata__\":{\"epoch\":3}}"))
                .isEqualTo("__metadata__ entry \"epoch\" is the number 3, a string is expected");
        refused(directory, of("{\"__metadata__\":{\"a\":{\"b\":\"c\"}}}")).contains("entry \"a\" is an object");
        refused(directory, of("{\"__metadata__\":{\"a\":null}}")).contains("entry \"a\" is null");
        refused(directory, of("{\"__metadata__\":[\"a\"]}"))
                .contains("__metadata__ is an array, an object of strings is expected");
    }

    @Test
    @DisplayName("input 21: a tensor twice")
    void duplicateTensor() throws IOException {
        refused(directory, of("{" + GOOD + "," + GOOD + "}", new byte[24]))
                .isEqualTo("tensor \"good\" appears twice in the header");
        refused(directory, of("{\"__metadata__\":{},\"__metadata__\":{}}"))
                .isEqualTo("__metadata__ appears twice in the header");
        refused(directory, of("{\"__metadata__\":{\"a\":\"\",\"a\":\"\"}}"))
                .isEqualTo("__metadata__ entry \"a\" appears twice");
    }

    @Test
    @DisplayName("input 22: a tensor twice, once in escapes")
    void duplicateByEscape() throws IOException {
        refused(directory, of("{" + GOOD + "," + GOOD.replace("good", "\\u0067ood") + "}", new byte[24]))
                .isEqualTo("tensor \"good\" appears twice in the header");
        refused(directory, of("{\"__metadata__\":{},\"__metadat\\u0061__\":{}}"))
                .isEqualTo("__metadata__ appears twice in the header");
    }

    @Test
    @DisplayName("input 23: a field twice")
    void duplicateField() throws IOException {
        refused(
                        directory,
                        of(
                                "{\"t\":{\"shape\":[1],\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]}}",
                                new byte[1]))
                .isEqualTo("tensor \"t\" has shape twice");
        refused(
                        directory,
                        of(
                                "{\"t\":{\"shape\":[1],\"dtype\":\"U8\",\"sh\\u0061pe\":[1],\"data_offsets\":[0,1]}}",
                                new byte[1]))
                .isEqualTo("tensor \"t\" has shape twice");
        refused(directory, of("{\"t\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}")).isEqualTo("tensor \"t\" has dtype twice");
        refused(directory, of("{\"t\":{\"data_offsets\":[0,1],\"data_offsets\":[0,1]}}"))
                .isEqualTo("tensor \"t\" has data_offsets twice");
    }

    @Test
    @DisplayName("what JSON does not allow")
    void notJson() throws IOException {
        refused(directory, of("{'t':{}}")).startsWith("header is not JSON at character");
        refused(directory, of("{\"t\":{\"shape\":[01]}}")).startsWith("header is not JSON at character");
        refused(directory, of("{\"t\":{\"shape\":[NaN]}}")).startsWith("header is not JSON at character");
        refused(directory, of("{,}")).startsWith("header is not JSON at character");
        refused(directory, of("{/**/}")).startsWith("header is not JSON at character");
        refused(directory, of("{\"t\":{\"shape\":[" + "1".repeat(2000) + "]}}"))
                .contains("holds 1111", "(2000 characters), more than");
    }
}
