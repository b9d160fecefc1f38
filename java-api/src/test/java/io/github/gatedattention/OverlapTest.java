package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;

import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.util.BitSet;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

class OverlapTest {
    private static final long SEED = 20261123;
    private static final int BUFFER_BYTES = 1024;

    private final Arena arena = Arena.ofConfined();
    private final MemorySegment buffer = arena.allocate(BUFFER_BYTES, 64);

    @AfterEach
    void close() {
        arena.close();
    }

    /** The bytes of the buffer that the view touches; {@code twice} gets a bit when an element's memory is another's. */
    private BitSet bytes(Tensor view, boolean[] twice) {
        BitSet touched = new BitSet();
        visit(view, 0, view.address() - buffer.address(), touched, twice);
        return touched;
    }

    private static void visit(Tensor view, int axis, long at, BitSet touched, boolean[] twice) {
        int size = view.dataType().byteSize();
        if (axis == view.rank()) {
            twice[0] |= touched.get((int) at);
            touched.set((int) at, (int) at + size);
            return;
        }
        for (long i = 0; i < view.dim(axis); i++) {
            visit(view, axis + 1, at + i * view.stride(axis) * size, touched, twice);
        }
    }

    private Tensor randomView(Random random) {
        DataType type = DataType.values()[random.nextInt(4)];
        while (true) {
            long[] shape = {random.nextInt(4), 1 + random.nextInt(4), 1 + random.nextInt(4), 1 + random.nextInt(5)};
            long[] strides = {random.nextInt(60), random.nextInt(40), random.nextInt(20), random.nextInt(3)};
            long start = random.nextInt(BUFFER_BYTES / type.byteSize()) * (long) type.byteSize();
            if (start + TensorLayout.spanBytes(type, shape, strides) <= BUFFER_BYTES) {
                return Tensor.of(buffer.asSlice(start), type, shape, strides);
            }
        }
    }

    @Test
    void overlapIsFoundExactlyWhenBytesAreShared() {
        Random random = new Random(SEED);
        int overlaps = 0;
        int cases = 20_000;
        for (int n = 0; n < cases; n++) {
            Tensor a = randomView(random);
            Tensor b = randomView(random);
            boolean expected = bytes(a, new boolean[1]).intersects(bytes(b, new boolean[1]));
            assertThat(Overlap.exists(a, b))
                    .as("seed %d, case %d: %s and %s", SEED, n, a, b)
                    .isEqualTo(expected);
            overlaps += expected ? 1 : 0;
        }
        assertThat(overlaps).isBetween(cases / 10, cases * 9 / 10);
    }

    @Test
    void sharedElementsAreNeverTakenForSeparateOnes() {
        Random random = new Random(SEED);
        int separate = 0;
        for (int n = 0; n < 20_000; n++) {
            Tensor view = randomView(random);
            boolean[] twice = new boolean[1];
            bytes(view, twice);
            if (Overlap.everyElementHasItsPlace(view)) {
                assertThat(twice[0]).as("seed %d, case %d: %s", SEED, n, view).isFalse();
                separate++;
            }
        }
        assertThat(separate).isGreaterThan(100);
    }

    @Test
    void permutedAndSlicedViewsAreSeparate() {
        Tensor tensor = Tensor.allocate(arena, DataType.F32, 3, 4, 5, 8);

        for (Tensor view : List.of(
                tensor,
                tensor.transpose(0, 2),
                tensor.slice(3, 2, 7),
                tensor.transpose(1, 2).slice(1, 0, 1),
                tensor.slice(0, 1, 1))) {
            assertThat(Overlap.everyElementHasItsPlace(view)).as("%s", view).isTrue();
        }
    }

    @Test
    void hugeInterleavedViewsAreToldApartAtOnce() {
        // Columns of one projection of 2^40 rows, which no memory needs to hold to be compared.
        long rows = 1L << 40;
        long[] shape = {1, rows, 16, 128};
        long[] strides = {0, 4096, 256, 1};
        Tensor q = Tensor.of(arena.allocate(64, 64).reinterpret(Long.MAX_VALUE / 4), DataType.BF16, shape, strides);
        Tensor gate = Tensor.of(q.segment().asSlice(256), DataType.BF16, new long[] {1, rows - 1, 16, 128}, strides);
        Tensor onBoth = Tensor.of(q.segment().asSlice(254), DataType.BF16, new long[] {1, rows - 1, 16, 128}, strides);

        assertThat(Overlap.exists(q, gate)).isFalse();
        assertThat(Overlap.exists(q, onBoth)).isTrue();
    }
}
