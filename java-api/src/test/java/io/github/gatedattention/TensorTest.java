package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatIllegalArgumentException;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.List;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class TensorTest {
    private final Arena arena = Arena.ofShared();

    @AfterEach
    void close() {
        arena.close();
    }

    private Tensor counting(long... shape) {
        long elements = TensorLayout.elements(shape);
        float[] values = new float[(int) elements];
        for (int i = 0; i < values.length; i++) {
            values[i] = i;
        }
        return Tensor.copyOf(arena, DataType.F32, values, shape);
    }

    @Test
    void largeMemoryIsZeroedAndAlignedToLargePages() {
        Tensor tensor = Tensor.allocate(arena, DataType.F32, 2048, 1024);

        assertThat(tensor.segment().address() % (2 << 20)).isZero();
        assertThat(tensor.segment().byteSize()).isEqualTo(8 << 20);
        assertThat(tensor.segment().mismatch(Arena.ofAuto().allocate(8 << 20))).isEqualTo(-1);
    }

    @Test
    void allocatesZeroedAlignedContiguousMemory() {
        Tensor tensor = Tensor.allocate(arena, DataType.BF16, 2, 3, 8);

        assertThat(tensor.segment().address() % 64).isZero();
        assertThat(tensor.segment().byteSize()).isEqualTo(96);
        assertThat(tensor.strides()).containsExactly(24, 8, 1);
        assertThat(tensor.toFloatArray()).containsOnly(0);
    }

    @Test
    void emptyTensorsHaveStridesAsIfTheyHadElements() {
        Tensor tensor = Tensor.allocate(arena, DataType.F32, 2, 0, 8);

        assertThat(tensor.strides()).containsExactly(8, 8, 1);
        assertThat(tensor.segment().byteSize()).isZero();
        assertThat(tensor.toFloatArray()).isEmpty();
    }

    @Test
    void sliceSelectAndTransposeView() {
        Tensor tensor = counting(2, 3, 4);

        assertThat(tensor.slice(2, 1, 3).toFloatArray()).containsExactly(1, 2, 5, 6, 9, 10, 13, 14, 17, 18, 21, 22);
        assertThat(tensor.select(0, 1).select(0, 2).toFloatArray()).containsExactly(20, 21, 22, 23);
        assertThat(tensor.select(0, 0).transpose(0, 1).toFloatArray())
                .containsExactly(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11);
        tensor.slice(1, 2, 3).setFloat(-1, 1, 0, 3);
        assertThat(tensor.getFloat(1, 2, 3)).isEqualTo(-1);
    }

    @Test
    void sliceMayBeEmptyAtTheVeryEnd() {
        assertThat(counting(2, 3).slice(0, 2, 2).shape()).containsExactly(0, 3);
    }

    @Test
    void splitCutsAPackedProjection() {
        List<Tensor> parts = counting(1, 2, 2, 6).split(3, 4, 2);

        assertThat(parts.get(0).shape()).containsExactly(1, 2, 2, 4);
        assertThat(parts.get(1).toFloatArray()).containsExactly(4, 5, 10, 11, 16, 17, 22, 23);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> counting(6).split(0, 4, 3))
                .withMessage("sizes [4, 3] do not add up to the 6 elements of axis 0");
        assertThatIllegalArgumentException().isThrownBy(() -> counting(6).split(0, 8, -2));
    }

    @Test
    void reshapeMergesAndCutsAxesWithoutACopy() {
        Tensor tensor = counting(2, 3, 4);

        assertThat(tensor.reshape(6, 4).toFloatArray()).isEqualTo(tensor.toFloatArray());
        assertThat(tensor.reshape(2, 1, 12).strides()).containsExactly(12, 12, 1);
        // The grouped projection of the official models: [Hkv, R q rows then R gate rows] of D.
        Tensor grouped = counting(2, 4, 3).slice(1, 0, 2);
        assertThat(grouped.reshape(2, 2, 3, 1).strides()).startsWith(12, 3, 1);
        assertThat(grouped.reshape(2, 6).toFloatArray()).isEqualTo(grouped.toFloatArray());
        assertThatIllegalArgumentException()
                .isThrownBy(() -> grouped.reshape(4, 3))
                .withMessageContaining("without a copy");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> tensor.reshape(5, 5))
                .withMessage("shape [5, 5] has 25 elements, but the tensor has 24");
    }

    @Test
    void expandRepeatsByAStrideOfZero() {
        Tensor expanded = counting(3, 1).expand(1, 2);

        assertThat(expanded.toFloatArray()).containsExactly(0, 0, 1, 1, 2, 2);
        assertThat(expanded.strides()).endsWith(0);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> counting(3).expand(0, 6))
                .withMessage("axis 0 has 3 elements, but only an axis of 1 can be expanded to 6");
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16", "F16"})
    void valuesThatTheTypeHoldsComeBackExactly(DataType type) {
        float[] values = {0, -0f, 1, -1.5f, 0.25f, 96, Float.POSITIVE_INFINITY, Float.NEGATIVE_INFINITY, Float.NaN};

        Tensor tensor = Tensor.copyOf(arena, type, values, 3, 3);

        assertThat(tensor.toFloatArray()).isEqualTo(values);
        tensor.setFloat(-3, 1, 1);
        assertThat(tensor.getFloat(1, 1)).isEqualTo(-3);
    }

    @Test
    void bf16RoundsTiesToEvenAndKeepsNan() {
        Tensor tensor = Tensor.allocate(arena, DataType.BF16, 1);

        tensor.setFloat(1 + 1 / 256f, 0); // halfway between 1 and 1 + 2^-7
        assertThat(tensor.getFloat(0)).isEqualTo(1);
        tensor.setFloat(1 + 3 / 256f, 0);
        assertThat(tensor.getFloat(0)).isEqualTo(1 + 1 / 64f);
        tensor.setFloat(Float.intBitsToFloat(0x7F800001), 0); // all its set fraction bits are cut off
        assertThat(tensor.getFloat(0)).isNaN();
        tensor.setFloat(Float.MAX_VALUE, 0);
        assertThat(tensor.getFloat(0)).isInfinite();
    }

    @Test
    void copyFromConvertsAndFollowsStrides() {
        Tensor target = Tensor.allocate(arena, DataType.BF16, 4, 3);

        target.copyFrom(counting(3, 4).transpose(0, 1));

        assertThat(target.toFloatArray()).containsExactly(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> target.copyFrom(counting(3, 4)))
                .withMessage("source has shape [3, 4], but this tensor has [4, 3]");
    }

    @Test
    void integersStayIntegers() {
        Tensor lengths = Tensor.copyOf(arena, DataType.I32, new int[] {3, Integer.MAX_VALUE}, 2);
        lengths.setInt(4, 0);

        assertThat(lengths.getInt(0)).isEqualTo(4);
        assertThat(lengths.getInt(1)).isEqualTo(Integer.MAX_VALUE);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> lengths.getFloat(0))
                .withMessageContaining("getInt");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> counting(2).getInt(0))
                .withMessageContaining("getFloat");
        assertThatIllegalArgumentException().isThrownBy(() -> counting(2).copyFrom(lengths));
    }

    @Test
    void eightBitIntegers() {
        Tensor whole = Tensor.copyOf(arena, DataType.I8, new int[] {-128, 127, 5}, 3);
        assertThat(whole.segment().byteSize()).isEqualTo(3);
        whole.setInt(-7, 2);
        assertThat(whole.getInt(0)).isEqualTo(-128);
        assertThat(whole.getInt(1)).isEqualTo(127);
        assertThat(whole.getInt(2)).isEqualTo(-7);
        Tensor copy = Tensor.allocate(arena, DataType.I8, 3);
        copy.copyFrom(whole);
        assertThat(copy.getInt(2)).isEqualTo(-7);

        assertThatIllegalArgumentException()
                .isThrownBy(() -> whole.setInt(128, 0))
                .withMessage("value is 128, but I8 holds -128 to 127");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Tensor.copyOf(arena, DataType.I8, new int[] {0, -129}, 2))
                .withMessage("values[1] is -129, but I8 holds -128 to 127");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Tensor.copyOf(arena, DataType.I8, new float[1], 1))
                .withMessage("dataType is I8, but values are float; use the int[] version");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> whole.getFloat(0))
                .withMessage("tensor is I8, but float values were asked for; use getInt and setInt");
        assertThatIllegalArgumentException().isThrownBy(whole::toFloatArray);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Tensor.allocate(arena, DataType.I32, 3).copyFrom(whole))
                .withMessage("source is I8, but this tensor is I32; integers copy only into integers of the same type");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Tensor.allocate(arena, DataType.F32, 3).copyFrom(whole));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> GatedAttention.builder()
                        .queryHeads(1)
                        .headDim(8)
                        .dataType(DataType.I8)
                        .build())
                .withMessage("dataType is I8, but must be F32, BF16 or F16");
    }

    @Test
    void refusesMemoryThatIsNoTensor() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Tensor.of(MemorySegment.ofArray(new float[8]), DataType.F32, 8))
                .withMessageContaining("on the Java heap")
                .withMessageContaining("Tensor.copyOf");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Tensor.of(arena.allocate(30, 4), DataType.F32, 2, 4))
                .withMessage("segment has 30 bytes, but a F32 tensor of shape [2, 4] needs 32");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Tensor.of(arena.allocate(64, 64).asSlice(2), DataType.F32, 8))
                .withMessageContaining("must be aligned to 4 bytes");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Tensor.of(MemorySegment.NULL, DataType.F32, 0))
                .withMessageContaining("address 0");
    }

    @Test
    void refusesShapesThatAreNone() {
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Tensor.allocate(arena, DataType.F32, 2, -3))
                .withMessage("axis 1 has -3 elements, but an extent is at least 0");
        assertThatIllegalArgumentException().isThrownBy(() -> Tensor.allocate(arena, DataType.F32));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Tensor.allocate(arena, DataType.F32, 1, 1, 1, 1, 1, 1, 1, 1, 1))
                .withMessage("shape has 9 axes, but a tensor has 1 to 8");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Tensor.allocate(arena, DataType.F32, 1L << 32, 1L << 32))
                .withMessageContaining("over 2^63 - 1 bytes");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Tensor.allocate(arena, DataType.F32, 1L << 61))
                .withMessageContaining("over 2^63 - 1 bytes");
    }

    @Test
    void refusesStridesThatAreNone() {
        MemorySegment memory = arena.allocate(1024, 64);

        assertThatIllegalArgumentException()
                .isThrownBy(() -> Tensor.of(memory, DataType.F32, new long[] {2, 8}, new long[] {-8, 1}))
                .withMessage("stride of axis 0 is -8, but strides are at least 0");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Tensor.of(memory, DataType.F32, new long[] {2, 8}, new long[] {1}))
                .withMessage("strides has 1 axes, but shape has 2");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Tensor.of(memory, DataType.F32, new long[] {2, 8}, new long[] {249, 1}))
                .withMessage(
                        "segment has 1024 bytes, but a F32 tensor of shape [2, 8] with strides [249, 1] needs 1028");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Tensor.of(memory, DataType.F32, new long[] {3, 8}, new long[] {1L << 62, 1}))
                .withMessageContaining("over 2^63 - 1 bytes");
    }

    @Test
    void refusesAxesAndPositionsThatAreNone() {
        Tensor tensor = counting(2, 3);

        assertThatIllegalArgumentException()
                .isThrownBy(() -> tensor.slice(2, 0, 1))
                .withMessage("axis is 2, but the tensor has axes 0 to 1");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> tensor.slice(1, 1, Long.MAX_VALUE))
                .withMessage("slice from 1 to 9223372036854775807 leaves axis 1, which has 3 elements");
        assertThatIllegalArgumentException().isThrownBy(() -> tensor.slice(1, 2, 1));
        assertThatIllegalArgumentException()
                .isThrownBy(() -> tensor.select(1, 3))
                .withMessage("index is 3, but axis 1 has 3 elements");
        assertThatIllegalArgumentException()
                .isThrownBy(() -> tensor.getFloat(1))
                .withMessage("index has 1 positions, but the tensor has 2 axes");
        assertThatThrownBy(() -> tensor.getFloat(0, -1)).isInstanceOf(IndexOutOfBoundsException.class);
        assertThatIllegalArgumentException()
                .isThrownBy(() -> Tensor.copyOf(arena, DataType.F32, new float[5], 2, 3))
                .withMessage("values has 5 elements, but shape [2, 3] has 6");
    }

    @Test
    void aClosedArenaIsAnIllegalState() {
        Tensor tensor;
        try (Arena shortLived = Arena.ofConfined()) {
            tensor = Tensor.allocate(shortLived, DataType.F32, 4);
        }

        assertThatThrownBy(() -> tensor.getFloat(0)).isInstanceOf(IllegalStateException.class);
        assertThat(tensor).hasToString("Tensor[F32 tensor of shape [4]]");
    }
}
