package io.github.gatedattention.safetensors;

import static io.github.gatedattention.safetensors.RawFile.of;
import static io.github.gatedattention.safetensors.RawFile.refused;
import static io.github.gatedattention.safetensors.RawFile.tensor;
import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/** Bad descriptions of tensors, one test each, by their numbers in the list of bad inputs. */
class TensorInputsTest {
    @TempDir
    Path directory;

    @Test
    @DisplayName("input 24: unknown dtype")
    void unknownDtype() throws IOException {
        refused(directory, of(tensor("\"F33\"", "[1]", "[0,4]"), new byte[4]))
                .startsWith("tensor \"t\" dtype \"F33\" is unknown; known are [BOOL, F4,")
                .contains("BF16", "F64");
        refused(directory, of(tensor("32", "[1]", "[0,4]"), new byte[4]))
                .isEqualTo("tensor \"t\" dtype is the number 32, a string is expected");
    }

    @Test
    @DisplayName("input 25: dtype in lower case")
    void lowerCaseDtype() throws IOException {
        refused(directory, of(tensor("\"f32\"", "[1]", "[0,4]"), new byte[4]))
                .isEqualTo("tensor \"t\" dtype \"f32\" is unknown; it is spelled \"F32\"");
    }

    @Test
    @DisplayName("input 26: a field is missing")
    void missingField() throws IOException {
        refused(directory, of("{\"t\":{\"shape\":[1],\"data_offsets\":[0,4]}}", new byte[4]))
                .isEqualTo("tensor \"t\" lacks dtype");
        refused(directory, of("{\"t\":{\"dtype\":\"F32\",\"data_offsets\":[0,4]}}", new byte[4]))
                .isEqualTo("tensor \"t\" lacks shape");
        refused(directory, of("{\"t\":{\"dtype\":\"F32\",\"shape\":[1]}}", new byte[4]))
                .isEqualTo("tensor \"t\" lacks data_offsets");
        refused(directory, of("{\"t\":7}"))
                .isEqualTo("tensor \"t\" is the number 7, an object with dtype, shape and data_offsets is expected");
    }

    @Test
    @DisplayName("input 27: an unknown field")
    void unknownField() throws IOException {
        refused(
                        directory,
                        of(
                                "{\"t\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"strides\":[1]}}",
                                new byte[4]))
                .isEqualTo("tensor \"t\" has the unknown field \"strides\"; known are dtype, shape and data_offsets");
    }

    @Test
    @DisplayName("input 28: a negative dimension")
    void negativeDimension() throws IOException {
        refused(directory, of(tensor("\"F32\"", "[-1]", "[0,4]"), new byte[4]))
                .isEqualTo("tensor \"t\" shape holds -1, a negative number");
        refused(directory, of(tensor("\"F32\"", "[-2,-2]", "[0,16]"), new byte[16]))
                .contains("shape holds -2, a negative number");
    }

    @Test
    @DisplayName("input 29: a dimension that is no integer")
    void dimensionNotInteger() throws IOException {
        refused(directory, of(tensor("\"F32\"", "[1.5]", "[0,4]"), new byte[4]))
                .isEqualTo("tensor \"t\" shape holds the number 1.5, an integer is expected");
        refused(directory, of(tensor("\"U8\"", "[1e3]", "[0,1000]"), new byte[1000]))
                .isEqualTo("tensor \"t\" shape holds the number 1e3, an integer is expected");
        refused(directory, of(tensor("\"U8\"", "[\"2\"]", "[0,2]"), new byte[2]))
                .isEqualTo("tensor \"t\" shape holds the string \"2\", an integer is expected");
        refused(directory, of(tensor("\"U8\"", "[null]", "[0,2]"), new byte[2])).contains("shape holds null");
        refused(directory, of(tensor("\"U8\"", "2", "[0,2]"), new byte[2]))
                .contains("shape is the number 2, an array of integers");
    }

    @Test
    @DisplayName("input 30: a dimension above 2^63")
    void hugeDimension() throws IOException {
        refused(directory, of(tensor("\"U8\"", "[9223372036854775809]", "[0,1]"), new byte[1]))
                .isEqualTo("tensor \"t\" shape holds 9223372036854775809, more than 9223372036854775807");
        refused(directory, of(tensor("\"U8\"", "[18446744073709551617]", "[0,1]"), new byte[1]))
                .contains("18446744073709551617");
    }

    @Test
    @DisplayName("input 31: the product of the dimensions overflows")
    void productOverflows() throws IOException {
        refused(directory, of(tensor("\"U8\"", "[4294967296,2147483649]", "[0,1]"), new byte[1]))
                .isEqualTo(
                        "tensor \"t\" shape [4294967296, 2147483649] of 8-bit elements overflows: the size must stay below 2^63");
    }

    @Test
    @DisplayName("input 32: the product of the dimensions wraps to 0")
    void productWrapsToZero() throws IOException {
        refused(directory, of(tensor("\"U8\"", "[4294967296,4294967296]", "[0,0]")))
                .contains("shape [4294967296, 4294967296] of 8-bit elements overflows");
        refused(directory, of(tensor("\"U8\"", "[4294967296,4294967296,0]", "[0,0]")))
                .contains("overflows");
        refused(directory, of(tensor("\"U8\"", "[0,4294967296,4294967296]", "[0,0]")))
                .contains("overflows");
    }

    @Test
    @DisplayName("input 33: elements times size overflows")
    void sizeOverflows() throws IOException {
        refused(directory, of(tensor("\"F64\"", "[2305843009213693952]", "[0,0]")))
                .contains("shape [2305843009213693952] of 64-bit elements overflows");
    }

    @Test
    @DisplayName("input 34: more than 8 dimensions")
    void tooManyDimensions() throws IOException {
        refused(directory, of(tensor("\"U8\"", "[1,1,1,1,1,1,1,1,1]", "[0,1]"), new byte[1]))
                .isEqualTo("tensor \"t\" shape has 9 numbers, at most 8 are expected");
    }

    @Test
    @DisplayName("input 35: begin after end")
    void beginAfterEnd() throws IOException {
        refused(directory, of(tensor("\"U8\"", "[4]", "[8,4]"), new byte[8]))
                .isEqualTo("tensor \"t\" begins at byte 8 of the data, after its end at 4");
    }

    @Test
    @DisplayName("input 36: end after the data")
    void endAfterData() throws IOException {
        refused(directory, of(tensor("\"F32\"", "[4]", "[0,16]"), new byte[15]))
                .isEqualTo(
                        "tensor \"t\" [0, 16) ends after the data, which has 15 bytes: the file is cut off or its offsets are wrong");
    }

    @Test
    @DisplayName("input 37: a negative offset")
    void negativeOffset() throws IOException {
        refused(directory, of(tensor("\"U8\"", "[4]", "[-4,0]"), new byte[4]))
                .isEqualTo("tensor \"t\" data_offsets holds -4, a negative number");
    }

    @Test
    @DisplayName("input 38: one or three offsets")
    void wrongNumberOfOffsets() throws IOException {
        refused(directory, of(tensor("\"U8\"", "[4]", "[4]"), new byte[4]))
                .isEqualTo("tensor \"t\" data_offsets has 1 numbers, exactly 2 are expected");
        refused(directory, of(tensor("\"U8\"", "[4]", "[0,4,8]"), new byte[4]))
                .isEqualTo("tensor \"t\" data_offsets has 3 numbers, exactly 2 are expected");
        refused(directory, of(tensor("\"U8\"", "[4]", "[]"), new byte[4])).contains("has 0 numbers");
    }

    @Test
    @DisplayName("input 39: size differs from shape times dtype")
    void sizeDiffers() throws IOException {
        refused(directory, of(tensor("\"F32\"", "[2,3]", "[0,20]"), new byte[20]))
                .isEqualTo("tensor \"t\" F32 of shape [2, 3] takes 24 bytes, data_offsets [0, 20] span 20");
    }

    @Test
    @DisplayName("input 40: tensors overlap")
    void overlap() throws IOException {
        refused(directory, of(two("[0,8]", "[4,12]"), new byte[12]))
                .isEqualTo("tensors \"a\" [0, 8) and \"b\" [4, 12) overlap");
        refused(directory, of(two("[0,8]", "[0,8]"), new byte[8]))
                .isEqualTo("tensors \"a\" [0, 8) and \"b\" [0, 8) overlap");
    }

    @Test
    @DisplayName("input 41: a hole between tensors")
    void hole() throws IOException {
        refused(directory, of(two("[0,8]", "[16,24]"), new byte[24]))
                .isEqualTo("bytes 8 to 16 of the data belong to no tensor; the next is \"b\" [16, 24)");
        refused(directory, of(two("[8,16]", "[16,24]"), new byte[24]))
                .contains("bytes 0 to 8 of the data belong to no tensor");
    }

    @Test
    @DisplayName("input 42: bytes after the last tensor")
    void trailingBytes() throws IOException {
        refused(directory, of(two("[0,8]", "[8,16]"), new byte[17]))
                .isEqualTo("has 17 bytes of data, its tensors end at byte 16: 1 bytes belong to no tensor");
        refused(directory, of("{}", new byte[1])).contains("has 1 bytes of data, its tensors end at byte 0");
    }

    @Test
    @DisplayName("input 43: the file is longer or shorter than the header says")
    void fileLengthDiffers() throws IOException {
        refused(directory, of(two("[0,8]", "[8,16]"), new byte[1 << 16]))
                .contains("has 65536 bytes of data", "end at byte 16");
        refused(directory, of(two("[0,8]", "[8,16]"), new byte[12]))
                .contains("\"b\" [8, 16) ends after the data, which has 12 bytes");
        refused(directory, of(two("[0,8]", "[8,16]"))).contains("\"a\" [0, 8) ends after the data, which has 0 bytes");
    }

    private static String two(String a, String b) {
        String tensor = "\":{\"dtype\":\"F64\",\"shape\":[1],\"data_offsets\":";
        return "{\"a" + tensor + a + "},\"b" + tensor + b + "}}";
    }

    @Test
    @DisplayName("input 44: an offset that a double would round")
    void offsetBeyondDouble() throws IOException {
        // 2^53 + 1 is 2^53 as a double: read through one, this tensor would have the right size.
        refused(directory, of(tensor("\"U8\"", "[9007199254740992]", "[0,9007199254740993]")))
                .isEqualTo("tensor \"t\" U8 of shape [9007199254740992] takes 9007199254740992 bytes,"
                        + " data_offsets [0, 9007199254740993] span 9007199254740993");
    }

    @Test
    @DisplayName("input 45: a sub-byte type that ends inside a byte")
    void subByte() throws IOException {
        refused(directory, of(tensor("\"F4\"", "[3]", "[0,2]"), new byte[2]))
                .isEqualTo("tensor \"t\" shape [3] of F4 takes 12 bits, which do not end on a byte");
        refused(directory, of(tensor("\"F6_E2M3\"", "[2]", "[0,2]"), new byte[2]))
                .contains("takes 12 bits");
        Path file = Files.write(
                directory.resolve("packed"), of(tensor("\"F6_E3M2\"", "[2,2]", "[0,3]"), new byte[] {1, 2, 3}));
        try (Arena arena = Arena.ofConfined()) {
            assertThat(SafetensorsFile.read(file, arena)
                            .tensors()
                            .get("t")
                            .data()
                            .toArray(ValueLayout.JAVA_BYTE))
                    .containsExactly(1, 2, 3);
        }
    }

    @Test
    @DisplayName("input 46: a misaligned float tensor is copied into aligned memory")
    void misaligned() throws IOException {
        // One byte of another tensor before it, and a header whose length is no multiple of 4.
        String header = "{\"pad\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1]},"
                + "\"t\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[1,13]}}";
        assertThat((8 + header.length() + 1) % 4).isNotZero();
        byte[] data = ByteBuffer.allocate(13)
                .order(ByteOrder.LITTLE_ENDIAN)
                .put((byte) 9)
                .putFloat(1.5f)
                .putFloat(-2)
                .putFloat(Float.NaN)
                .array();
        Path file = Files.write(directory.resolve("misaligned"), of(header, data));
        try (Arena arena = Arena.ofConfined()) {
            var segment = SafetensorsFile.read(file, arena).tensors().get("t").data();
            assertThat(segment.address() % 64).isZero();
            assertThat(segment.toArray(ValueLayout.JAVA_FLOAT)).containsExactly(1.5f, -2, Float.NaN);
        }
    }
}
