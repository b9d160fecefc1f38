package io.github.gatedattention.cache;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.gatedattention.CacheFullException;
import io.github.gatedattention.DataType;
import io.github.gatedattention.KvCache;
import io.github.gatedattention.KvCacheBatch;
import io.github.gatedattention.Sequences;
import io.github.gatedattention.Tensor;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.ValueSource;

/** What each operation of a cache does, seen through its block table. */
class KvCacheTest {
    private static final int HEADS = 2;
    private static final int DIM = 16;
    private static final int VALUE_DIM = 8;

    private final Arena arena = Arena.ofShared();

    @AfterEach
    void closeArena() {
        arena.close();
    }

    private static KvCache build(KvCache.Builder builder) {
        return builder.keyValueHeads(HEADS).headDim(DIM).valueHeadDim(VALUE_DIM).build();
    }

    private static KvCache paged(int pages, int pageSize) {
        return build(KvCache.paged(pages, pageSize));
    }

    private static KvCache contiguous(int entries, int capacity) {
        return build(KvCache.contiguous(entries, capacity));
    }

    private static List<Integer> tokens(int from, int to) {
        return IntStream.range(from, to).boxed().toList();
    }

    private void append(KvCache cache, long id, List<Integer> tokens) {
        cache.append(
                id,
                CacheRows.keys(arena, DataType.F32, tokens, HEADS, DIM),
                CacheRows.values(arena, DataType.F32, tokens, HEADS, VALUE_DIM));
    }

    private static List<Integer> pages(KvCache cache, long id) {
        Tensor table = cache.sequences(id).blockTable();
        int used = Math.ceilDiv(cache.length(id), (int) cache.keys().dim(1));
        return IntStream.range(0, used).mapToObj(n -> table.getInt(0, n)).toList();
    }

    @ParameterizedTest
    @ValueSource(ints = {1, 3, 16, 256})
    void appendedTokensAreFoundInTheirOrder(int pageSize) {
        try (KvCache cache = paged(300 / pageSize + 2, pageSize)) {
            long id = cache.allocate();
            for (int length = 0, n = 1; length < 270; length += n, n = n * 2 % 63) {
                append(cache, id, tokens(length, length + n));
                assertThat(CacheRows.holds(cache, id, tokens(0, length + n))).isTrue();
            }
            assertThat(cache.pagesInUse()).isEqualTo(Math.ceilDiv(cache.length(id), pageSize));
        }
    }

    @Test
    void pagesOfSequencesThatTakeTurnsAreInterleaved() {
        try (KvCache cache = paged(8, 2)) {
            long one = cache.allocate();
            long two = cache.allocate();
            for (int n = 0; n < 6; n++) {
                append(cache, one, tokens(n, n + 1));
                append(cache, two, tokens(100 + n, 101 + n));
            }
            assertThat(pages(cache, one)).containsExactly(0, 2, 4);
            assertThat(pages(cache, two)).containsExactly(1, 3, 5);
            assertThat(CacheRows.holds(cache, one, tokens(0, 6))).isTrue();
            assertThat(CacheRows.holds(cache, two, tokens(100, 106))).isTrue();
            assertThat(cache.freePages()).isEqualTo(2);
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = DataType.class,
            names = {"F32", "BF16", "F16"})
    void everyLayoutOfNewTokensIsRead(DataType type) {
        try (KvCache cache = build(KvCache.paged(20, 4).dataType(type))) {
            List<Integer> some = tokens(0, 7);
            Tensor[][] layouts = {
                {Tensor.allocate(arena, type, 7, HEADS, DIM), Tensor.allocate(arena, type, 7, HEADS, VALUE_DIM)},
                // One projection made k and v side by side in each head.
                Tensor.allocate(arena, type, 7, HEADS, DIM + VALUE_DIM)
                        .split(2, DIM, VALUE_DIM)
                        .toArray(Tensor[]::new),
                // Whole heads side by side, with a gap between tokens.
                {
                    Tensor.allocate(arena, type, 7, HEADS + 1, DIM).slice(1, 1, HEADS + 1),
                    Tensor.allocate(arena, type, 7, HEADS + 2, VALUE_DIM).slice(1, 0, HEADS)
                },
                // Heads before tokens.
                {
                    Tensor.allocate(arena, type, HEADS, 7, DIM).transpose(0, 1),
                    Tensor.allocate(arena, type, HEADS, 7, VALUE_DIM).transpose(0, 1)
                }
            };
            for (Tensor[] layout : layouts) {
                CacheRows.putKeys(layout[0], some);
                CacheRows.putValues(layout[1], some);
                long id = cache.allocate();
                cache.append(id, layout[0].slice(0, 0, 5), layout[1].slice(0, 0, 5));
                cache.append(
                        id,
                        layout[0].slice(0, 5, 7).reshape(1, 2, HEADS, DIM),
                        layout[1].slice(0, 5, 7).reshape(1, 2, HEADS, VALUE_DIM));
                assertThat(CacheRows.holds(cache, id, some))
                        .as("%s %s", layout[0], layout[1])
                        .isTrue();
            }
        }
    }

    @ParameterizedTest
    @ValueSource(booleans = {false, true})
    void aStepOfABatchGrowsEachSequence(boolean isPaged) {
        try (KvCache cache = isPaged ? paged(12, 2) : contiguous(3, 8)) {
            long[] ids = {cache.allocate(), cache.allocate(), cache.allocate()};
            append(cache, ids[1], tokens(50, 53));
            Tensor k = Tensor.allocate(arena, DataType.F32, 3, 2, HEADS, DIM);
            Tensor v = Tensor.allocate(arena, DataType.F32, 3, 2, HEADS, VALUE_DIM);
            for (int b = 0; b < 3; b++) {
                CacheRows.putKeys(k.select(0, b), tokens(10 * b, 10 * b + 2));
                CacheRows.putValues(v.select(0, b), tokens(10 * b, 10 * b + 2));
            }
            cache.append(ids, k, v);
            assertThat(CacheRows.holds(cache, ids[0], tokens(0, 2))).isTrue();
            assertThat(CacheRows.holds(cache, ids[1], List.of(50, 51, 52, 10, 11)))
                    .isTrue();
            assertThat(CacheRows.holds(cache, ids[2], tokens(20, 22))).isTrue();
        }
    }

    @Test
    void packedTokensGoToTheirSequences() {
        try (KvCache cache = paged(12, 3)) {
            long[] ids = {cache.allocate(), cache.allocate(), cache.allocate()};
            Tensor k = CacheRows.keys(arena, DataType.F32, tokens(0, 8), HEADS, DIM);
            Tensor v = CacheRows.values(arena, DataType.F32, tokens(0, 8), HEADS, VALUE_DIM);
            cache.append(ids, new int[] {5, 0, 3}, k, v);
            assertThat(CacheRows.holds(cache, ids[0], tokens(0, 5))).isTrue();
            assertThat(cache.length(ids[1])).isZero();
            assertThat(CacheRows.holds(cache, ids[2], tokens(5, 8))).isTrue();
            assertThat(cache.pagesInUse()).isEqualTo(3);
        }
    }

    @Test
    void forksShareFullPagesAndCopyAPartlyFilledOneWhenTheyWrite() {
        try (KvCache cache = paged(10, 4)) {
            long one = cache.allocate();
            append(cache, one, tokens(0, 6));
            long two = cache.fork(one);
            assertThat(pages(cache, two)).isEqualTo(pages(cache, one));
            assertThat(cache.pagesInUse()).isEqualTo(2);

            append(cache, two, tokens(100, 101));
            assertThat(pages(cache, two).getFirst()).isEqualTo(pages(cache, one).getFirst());
            assertThat(pages(cache, two).getLast())
                    .isNotEqualTo(pages(cache, one).getLast());
            assertThat(cache.pagesInUse()).isEqualTo(3);

            List<Integer> before = pages(cache, one);
            append(cache, one, tokens(6, 9));
            assertThat(pages(cache, one)).startsWith(before.toArray(Integer[]::new));
            assertThat(CacheRows.holds(cache, one, tokens(0, 9))).isTrue();
            assertThat(CacheRows.holds(cache, two, List.of(0, 1, 2, 3, 4, 5, 100)))
                    .isTrue();

            cache.free(one);
            assertThat(CacheRows.holds(cache, two, List.of(0, 1, 2, 3, 4, 5, 100)))
                    .isTrue();
            assertThat(cache.pagesInUse()).isEqualTo(2);
            cache.free(two);
            assertThat(cache.pagesInUse()).isZero();
        }
    }

    @Test
    void forksThatAppendInOneStepEachGetAPage() {
        try (KvCache cache = paged(3, 4)) {
            long one = cache.allocate();
            append(cache, one, tokens(0, 3));
            long two = cache.fork(one);
            Tensor k = Tensor.allocate(arena, DataType.F32, 2, 1, HEADS, DIM);
            Tensor v = Tensor.allocate(arena, DataType.F32, 2, 1, HEADS, VALUE_DIM);
            for (int b = 0; b < 2; b++) {
                CacheRows.putKeys(k.select(0, b), tokens(10 + b, 11 + b));
                CacheRows.putValues(v.select(0, b), tokens(10 + b, 11 + b));
            }
            cache.append(new long[] {one, two}, k, v);
            assertThat(CacheRows.holds(cache, one, List.of(0, 1, 2, 10))).isTrue();
            assertThat(CacheRows.holds(cache, two, List.of(0, 1, 2, 11))).isTrue();
            assertThat(cache.pagesInUse()).isEqualTo(2);
        }
    }

    @Test
    void aForkOfAnEntryIsACopy() {
        try (KvCache cache = contiguous(2, 8)) {
            long one = cache.allocate();
            append(cache, one, tokens(0, 5));
            long two = cache.fork(one);
            assertThat(cache.freePages()).isZero();
            append(cache, two, tokens(20, 22));
            append(cache, one, tokens(5, 8));
            assertThat(CacheRows.holds(cache, one, tokens(0, 8))).isTrue();
            assertThat(CacheRows.holds(cache, two, List.of(0, 1, 2, 3, 4, 20, 21)))
                    .isTrue();
        }
    }

    @Test
    void truncatedTokensAreGoneAndTheirPagesFree() {
        try (KvCache cache = paged(10, 4)) {
            long one = cache.allocate();
            append(cache, one, tokens(0, 14));
            long two = cache.fork(one);
            cache.truncate(one, 5);
            assertThat(cache.pagesInUse()).isEqualTo(4);
            append(cache, one, tokens(70, 72));
            assertThat(CacheRows.holds(cache, one, List.of(0, 1, 2, 3, 4, 70, 71)))
                    .isTrue();
            assertThat(CacheRows.holds(cache, two, tokens(0, 14))).isTrue();
            cache.truncate(two, 0);
            assertThat(cache.length(two)).isZero();
            assertThat(cache.pagesInUse()).isEqualTo(2);
            append(cache, two, tokens(0, 1));
            assertThat(CacheRows.holds(cache, two, tokens(0, 1))).isTrue();
        }
    }

    @Test
    void idsAreNeverGivenTwice() {
        try (KvCache cache = contiguous(1, 4)) {
            long first = cache.allocate();
            cache.free(first);
            long second = cache.allocate();
            assertThat(second).isNotEqualTo(first).isPositive();
            assertThatThrownBy(() -> cache.length(first)).isInstanceOf(IllegalArgumentException.class);
            assertThat(cache.sequenceCount()).isEqualTo(1);
        }
    }

    @Test
    void thousandsOfSequencesComeAndGo() {
        try (KvCache cache = paged(4, 1)) {
            long[] ids =
                    IntStream.range(0, 5000).mapToLong(_ -> cache.allocate()).toArray();
            assertThat(ids).doesNotHaveDuplicates();
            assertThat(cache.sequenceCount()).isEqualTo(5000);
            for (long id : ids) {
                assertThat(cache.length(id)).isZero();
                cache.free(id);
            }
            assertThat(cache.sequenceCount()).isZero();
        }
    }

    @Test
    void cachesInWhichTheSameIsDoneGiveTheSameIdsAndPages() {
        try (KvCache first = paged(8, 2);
                KvCache second = paged(8, 2)) {
            for (KvCache cache : List.of(first, second)) {
                long one = cache.allocate();
                append(cache, one, tokens(0, 5));
                long two = cache.fork(one);
                append(cache, two, tokens(5, 9));
                // Fails in both, in the middle of the pages that are left.
                assertThatThrownBy(() -> append(cache, two, tokens(0, 9))).isInstanceOf(CacheFullException.class);
                cache.free(one);
            }
            long one = first.allocate();
            assertThat(second.allocate()).isEqualTo(one);
            append(first, one, tokens(0, 4));
            append(second, one, tokens(0, 4));
            assertThat(pages(first, one)).isEqualTo(pages(second, one));
        }
    }

    @Test
    void aBatchSaysWhatEachRefreshFound() {
        try (KvCache cache = paged(16, 2)) {
            long one = cache.allocate();
            long two = cache.allocate();
            append(cache, one, tokens(0, 3));
            append(cache, two, tokens(3, 4));
            KvCacheBatch batch = cache.batch(3, 8);
            Sequences sequences = batch.sequences();
            batch.refresh(two, one);
            assertThat(lengths(sequences)).containsExactly(1, 3, 0);
            assertThat(row(sequences, 1, 2)).isEqualTo(pages(cache, one));

            long three = cache.fork(one);
            append(cache, one, tokens(3, 6)); // its last page is shared, so it gets another
            batch.refresh(two, one, three);
            assertThat(batch.sequences()).isSameAs(sequences);
            assertThat(lengths(sequences)).containsExactly(1, 6, 3);
            assertThat(row(sequences, 1, 3)).isEqualTo(pages(cache, one));
            assertThat(row(sequences, 2, 2)).isEqualTo(pages(cache, three));

            cache.truncate(one, 2);
            append(cache, two, tokens(4, 6));
            append(cache, one, tokens(2, 4));
            batch.refresh(one, one);
            assertThat(lengths(sequences)).containsExactly(4, 4, 0);
            assertThat(row(sequences, 0, 2)).isEqualTo(pages(cache, one)).isEqualTo(row(sequences, 1, 2));
        }
    }

    private static List<Integer> lengths(Sequences sequences) {
        return IntStream.range(0, (int) sequences.keyLengths().dim(0))
                .mapToObj(n -> sequences.keyLengths().getInt(n))
                .toList();
    }

    private static List<Integer> row(Sequences sequences, int row, int pages) {
        return IntStream.range(0, pages)
                .mapToObj(n -> sequences.blockTable().getInt(row, n))
                .toList();
    }

    @Test
    void aLongEntryIsSeveralPages() {
        int capacity = 70_001; // one more page than a call's longest, with a row left over
        try (KvCache cache = KvCache.contiguous(2, capacity)
                .keyValueHeads(1)
                .headDim(8)
                .dataType(DataType.BF16)
                .build()) {
            assertThat(cache.keys().shape()).containsExactly(4, 35_001, 1, 8);
            assertThat(cache.maxLength()).isEqualTo(capacity);
            cache.allocate();
            long id = cache.allocate();
            Tensor all = Tensor.allocate(arena, DataType.BF16, capacity, 1, 8);
            CacheRows.putKeys(all.slice(0, 34_999, 35_003), tokens(0, 4));
            cache.append(id, all.slice(0, 0, 35_003), all.slice(0, 0, 35_003));
            Tensor table = cache.sequences(id).blockTable();
            assertThat(List.of(table.getInt(0, 0), table.getInt(0, 1))).containsExactly(2, 3);
            for (int t = 34_999; t < 35_003; t++) {
                Tensor page = cache.keys().select(0, table.getInt(0, t / 35_001));
                assertThat(page.getFloat(t % 35_001, 0, 5)).isEqualTo(CacheRows.key(t - 34_999, 5));
            }
            cache.append(id, all.slice(0, 35_003, capacity), all.slice(0, 35_003, capacity));
            assertThatThrownBy(() -> cache.append(id, all.slice(0, 0, 1), all.slice(0, 0, 1)))
                    .isInstanceOf(CacheFullException.class);
        }
    }
}
