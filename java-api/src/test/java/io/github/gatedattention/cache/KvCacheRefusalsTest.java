package io.github.gatedattention.cache;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.github.gatedattention.CacheFullException;
import io.github.gatedattention.DataType;
import io.github.gatedattention.Gate;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.KvCache;
import io.github.gatedattention.KvCacheBatch;
import io.github.gatedattention.Mask;
import io.github.gatedattention.Operands;
import io.github.gatedattention.Tensor;
import java.lang.foreign.Arena;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.stream.IntStream;
import org.assertj.core.api.ThrowableAssert.ThrowingCallable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** What a cache refuses, in which words, and that it is as it was afterwards. */
class KvCacheRefusalsTest {
    private static final int HEADS = 2;
    private static final int DIM = 16;
    private static final int VALUE_DIM = 8;
    private static final long UNKNOWN = 12_345;

    private final Arena arena = Arena.ofShared();
    private final KvCache cache = KvCache.paged(6, 4)
            .keyValueHeads(HEADS)
            .headDim(DIM)
            .valueHeadDim(VALUE_DIM)
            .build();
    private final List<Integer> held = tokens(0, 6);
    private final List<Integer> heldByFork = tokens(0, 5);
    private long id;
    private long fork;

    /** Three pages in use: a full one that both sequences share, and each its own. */
    @BeforeEach
    void fill() {
        id = cache.allocate();
        cache.append(id, keys(held), values(held));
        fork = cache.fork(id);
        cache.truncate(fork, 4);
        cache.append(fork, keys(tokens(4, 5)), values(tokens(4, 5)));
    }

    @AfterEach
    void close() {
        cache.close();
        arena.close();
    }

    private static List<Integer> tokens(int from, int to) {
        return IntStream.range(from, to).boxed().toList();
    }

    private Tensor keys(List<Integer> tokens) {
        return CacheRows.keys(arena, DataType.F32, tokens, HEADS, DIM);
    }

    private Tensor values(List<Integer> tokens) {
        return CacheRows.values(arena, DataType.F32, tokens, HEADS, VALUE_DIM);
    }

    private Tensor f32(long... shape) {
        return Tensor.allocate(arena, DataType.F32, shape);
    }

    private void assertUnchanged() {
        assertThat(cache.pagesInUse()).isEqualTo(3);
        assertThat(cache.freePages()).isEqualTo(3);
        assertThat(cache.sequenceCount()).isEqualTo(2);
        assertThat(CacheRows.holds(cache, id, held)).isTrue();
        assertThat(CacheRows.holds(cache, fork, heldByFork)).isTrue();
    }

    private void refused(String message, ThrowingCallable call) {
        assertThatThrownBy(call).isInstanceOf(IllegalArgumentException.class).hasMessage(message);
        assertUnchanged();
    }

    private void full(String message, ThrowingCallable call) {
        assertThatThrownBy(call).isInstanceOf(CacheFullException.class).hasMessage(message);
        assertUnchanged();
    }

    @Test
    void idsThatAreNotThere() {
        String is = " is 12345, but the cache has no such sequence: it was freed, or never allocated";
        Tensor k = f32(1, HEADS, DIM);
        Tensor v = f32(1, HEADS, VALUE_DIM);
        refused("id" + is, () -> cache.append(UNKNOWN, k, v));
        refused("id" + is, () -> cache.fork(UNKNOWN));
        refused("id" + is, () -> cache.truncate(UNKNOWN, 0));
        refused("id" + is, () -> cache.free(UNKNOWN));
        refused("id" + is, () -> cache.length(UNKNOWN));
        refused("ids[1]" + is, () -> cache.sequences(id, UNKNOWN));
        refused("ids[1]" + is, () -> cache.append(new long[] {id, UNKNOWN}, new int[] {1, 0}, k, v));
        // Almost the ids of living sequences, and what is no id at all.
        for (long wrong : new long[] {id + 1, fork - 1, id + (1L << 40), 0, -1, Long.MIN_VALUE, Long.MAX_VALUE}) {
            refused("id is " + wrong + is.substring(" is 12345".length()), () -> cache.length(wrong));
        }
    }

    @Test
    void tensorsThatDoNotFitTheCache() {
        Tensor k = f32(3, HEADS, DIM);
        Tensor v = f32(3, HEADS, VALUE_DIM);
        refused("k has 3 heads on axis 1, but keyValueHeads is 2", () -> cache.append(id, f32(3, 3, DIM), v));
        refused("v has 1 heads on axis 1, but keyValueHeads is 2", () -> cache.append(id, k, f32(3, 1, VALUE_DIM)));
        refused("k has 8 elements on axis 2, but headDim is 16", () -> cache.append(id, v, v));
        refused("v has 16 elements on axis 3, but valueHeadDim is 8", () -> cache.append(id, k, f32(1, 3, HEADS, DIM)));
        refused("v has 2 tokens on axis 0, but k has 3", () -> cache.append(id, k, f32(2, HEADS, VALUE_DIM)));
        refused(
                "k is I8, but tokens are appended as F32, BF16 or F16",
                () -> cache.append(id, Tensor.allocate(arena, DataType.I8, 3, HEADS, DIM), v));
        refused(
                "v is I32, but tokens are appended as F32, BF16 or F16",
                () -> cache.append(id, k, Tensor.allocate(arena, DataType.I32, 3, HEADS, VALUE_DIM)));
        refused(
                "k has 2 axes, but must have 3 (tokens, heads, elements) or 4 (sequences before them)",
                () -> cache.append(id, f32(HEADS, DIM), v));
        refused(
                "k has 2 sequences on axis 0, but here it must have 1",
                () -> cache.append(id, f32(2, 3, HEADS, DIM), v));
        refused(
                "v has stride 2 on axis 2, but the last axis must be contiguous, with stride 1",
                () -> cache.append(id, k, f32(3, VALUE_DIM, HEADS).transpose(1, 2)));
        refused(
                "k lies in the cache itself, but tokens are appended from other memory; copy them first",
                () -> cache.append(id, cache.keys().select(0, 0).slice(0, 0, 3), v));
        assertThatThrownBy(() -> cache.append(id, null, v))
                .isInstanceOf(NullPointerException.class)
                .hasMessage("k is null");
        assertUnchanged();
    }

    /** The scales of a cache of whole numbers are its memory too. */
    @Test
    void scalesAsTokens() {
        try (KvCache whole = KvCache.paged(6, 4)
                .keyValueHeads(8)
                .headDim(8)
                .dataType(DataType.I8)
                .build()) {
            long one = whole.allocate();
            Tensor scales = whole.scales().keys().slice(0, 0, 2).reshape(1, 8, 8);
            assertThatThrownBy(() -> whole.append(one, scales, f32(1, 8, 8)))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessage(
                            "k lies in the cache itself, but tokens are appended from other memory; copy them first");
            assertThat(whole.length(one)).isZero();
            assertThatThrownBy(() -> whole.scales().values().setFloat(1, 0, 0, 0))
                    .isInstanceOf(IllegalArgumentException.class);
        }
        assertThat(cache.scales()).isNull();
    }

    @Test
    void batchesThatDoNotFit() {
        long[] ids = {id, fork};
        Tensor k = f32(2, 1, HEADS, DIM);
        Tensor v = f32(2, 1, HEADS, VALUE_DIM);
        refused("k has 2 sequences on axis 0, but ids has 1", () -> cache.append(new long[] {id}, k, v));
        refused(
                "k has 3 axes, but for several sequences must have 4; give counts for packed tokens",
                () -> cache.append(ids, f32(2, HEADS, DIM), v));
        refused(
                "ids[1] is " + id + ", which is among the ids before it, but one append can grow a sequence once",
                () -> cache.append(new long[] {id, id}, k, v));
        Tensor packedK = f32(5, HEADS, DIM);
        Tensor packedV = f32(5, HEADS, VALUE_DIM);
        refused("counts has 1 elements, but ids has 2", () -> cache.append(ids, new int[] {5}, packedK, packedV));
        refused(
                "counts[1] is -1, but must be at least 0",
                () -> cache.append(ids, new int[] {6, -1}, packedK, packedV));
        refused(
                "counts has 6 tokens in all, but k has 5 on axis 0",
                () -> cache.append(ids, new int[] {3, 3}, packedK, packedV));
        refused(
                "counts has 4294967294 tokens in all, but k has 5 on axis 0",
                () -> cache.append(ids, new int[] {Integer.MAX_VALUE, Integer.MAX_VALUE}, packedK, packedV));
    }

    @Test
    void lengthsOutOfRange() {
        refused("length is 7, but sequence " + id + " has 0 to 6 tokens to keep", () -> cache.truncate(id, 7));
        refused("length is -1, but sequence " + id + " has 0 to 6 tokens to keep", () -> cache.truncate(id, -1));
    }

    @Test
    void wantOfPages() {
        full(
                "append needs 4 pages, but 3 of 6 are free",
                () -> cache.append(id, f32(15, HEADS, DIM), f32(15, HEADS, VALUE_DIM)));
        full(
                "sequence " + id + " would have 25 tokens, but in this cache a sequence has at most 24",
                () -> cache.append(id, f32(19, HEADS, DIM), f32(19, HEADS, VALUE_DIM)));
        // Each alone would fit.
        full(
                "append needs 4 pages, but 3 of 6 are free",
                () -> cache.append(new long[] {id, fork}, f32(2, 10, HEADS, DIM), f32(2, 10, HEADS, VALUE_DIM)));
        full(
                "append needs 4 pages, but 3 of 6 are free",
                () -> cache.append(
                        new long[] {id, fork}, new int[] {2, 16}, f32(18, HEADS, DIM), f32(18, HEADS, VALUE_DIM)));
        cache.append(id, f32(2, HEADS, DIM), f32(2, HEADS, VALUE_DIM));
        assertThat(cache.freePages()).isEqualTo(3);
    }

    @Test
    void wantOfEntries() {
        try (KvCache one = KvCache.contiguous(1, 4).keyValueHeads(1).headDim(8).build()) {
            long only = one.allocate();
            assertThatThrownBy(one::allocate)
                    .isInstanceOf(CacheFullException.class)
                    .hasMessage("all 1 entries are in use, but a sequence needs 1");
            assertThatThrownBy(() -> one.fork(only)).isInstanceOf(CacheFullException.class);
            assertThat(one.sequenceCount()).isEqualTo(1);
            assertThatThrownBy(() -> one.append(only, f32(5, 1, 8), f32(5, 1, 8)))
                    .isInstanceOf(CacheFullException.class)
                    .hasMessage(
                            "sequence " + only + " would have 5 tokens, but in this cache a sequence has at most 4");
            assertThat(one.length(only)).isZero();
        }
    }

    /** The keys are written and pages taken, one for a copy, when it turns out that the values cannot be read. */
    @Test
    void valuesThatCannotBeRead() throws Exception {
        long second = cache.fork(id);
        long[] ids = {second, fork};
        Tensor k = f32(2, 3, HEADS, DIM);
        Tensor elsewhere = CompletableFuture.supplyAsync(() -> {
                    // The confined arena of a thread that goes on to other things.
                    return Tensor.allocate(Arena.ofConfined(), DataType.F32, 2, 3, HEADS, VALUE_DIM);
                })
                .get();
        assertThatThrownBy(() -> cache.append(ids, k, elsewhere)).isInstanceOf(WrongThreadException.class);
        Tensor gone;
        try (Arena brief = Arena.ofConfined()) {
            gone = Tensor.allocate(brief, DataType.F32, 2, 3, HEADS, VALUE_DIM);
        }
        assertThatThrownBy(() -> cache.append(ids, k, gone)).isInstanceOf(IllegalStateException.class);
        assertThat(CacheRows.holds(cache, second, held)).isTrue();
        cache.free(second);
        assertUnchanged();
        // The order of the free pages is the same as well: the next page is that which would have come.
        cache.append(id, f32(3, HEADS, DIM), f32(3, HEADS, VALUE_DIM));
        assertThat(cache.sequences(id).blockTable().getInt(0, 2)).isEqualTo(3);
    }

    @Test
    void batches() {
        refused("size is 0, but must be 1 to 1048576", () -> cache.batch(0, 4));
        refused("mostKeys is 25, but must be 1 to 24", () -> cache.batch(1, 25));
        refused("ids has 0 elements, but must have at least 1", cache::sequences);
        try (KvCache many = KvCache.paged(4096, 1).keyValueHeads(1).headDim(8).build()) {
            refused(
                    "size is 1048576 and mostKeys is 4096, 4294967296 pages in all, but a call takes at most 2147483583",
                    () -> many.batch(1 << 20, 4096));
        }
        KvCacheBatch batch = cache.batch(2, 5);
        batch.refresh(fork);
        refused("ids has 3 elements, but the batch has room for 2", () -> batch.refresh(fork, fork, fork));
        refused(
                "sequence " + id + " has 6 keys, but in this batch a sequence has at most 5",
                () -> batch.refresh(fork, id));
        refused(
                "ids[1] is 12345, but the cache has no such sequence: it was freed, or never allocated",
                () -> batch.refresh(fork, UNKNOWN));
        assertThat(batch.sequences().keyLengths().getInt(0)).isEqualTo(5);
        assertThat(batch.sequences().keyLengths().getInt(1)).isZero();
    }

    @Test
    void settings() {
        refused(
                "pages is 0, but must be 1 to 2147483647",
                () -> KvCache.paged(0, 4).build());
        refused(
                "pageSize is 257, but must be 1 to 256",
                () -> KvCache.paged(1, 257).build());
        refused(
                "pages is 2147483647 and pageSize is 256, 549755813632 tokens in all, but a cache has at most 2147483647",
                () -> KvCache.paged(Integer.MAX_VALUE, 256).build());
        refused(
                "entries is -1, but must be 1 to 1048576",
                () -> KvCache.contiguous(-1, 4).build());
        refused(
                "capacity is 0, but must be 1 to 1073741824",
                () -> KvCache.contiguous(1, 0).build());
        KvCache.Builder builder = KvCache.contiguous(1, 4);
        refused("keyValueHeads is 0, but must be 1 to 1048576", builder::build);
        builder.keyValueHeads(1);
        refused("headDim is 0, but must be a multiple of 8 from 8 to 512", builder::build);
        builder.headDim(8).valueHeadDim(12);
        refused("valueHeadDim is 12, but must be a multiple of 8 from 8 to 512", builder::build);
        builder.valueHeadDim(8).dataType(DataType.I32);
        refused("dataType is I32, but must be F32, BF16, F16 or I8", builder::build);
    }

    /** Pages that sequences share are not to be written around the cache. */
    @Test
    void writesThroughItsViews() {
        assertThatThrownBy(() -> cache.keys().setFloat(1, 0, 0, 0, 0)).isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> cache.values().setFloat(1, 0, 0, 0, 0)).isInstanceOf(IllegalArgumentException.class);
        assertUnchanged();
    }

    @Test
    void useAfterClose() {
        KvCacheBatch batch = cache.batch(1, 4);
        Tensor k = f32(1, HEADS, DIM);
        Tensor v = f32(1, HEADS, VALUE_DIM);
        cache.close();
        cache.close();
        List<ThrowingCallable> uses = List.of(
                cache::allocate,
                () -> cache.append(id, k, v),
                () -> cache.append(new long[] {id}, k.reshape(1, 1, HEADS, DIM), v.reshape(1, 1, HEADS, VALUE_DIM)),
                () -> cache.append(new long[] {id}, new int[] {1}, k, v),
                () -> cache.fork(id),
                () -> cache.truncate(id, 0),
                () -> cache.free(id),
                () -> cache.length(id),
                cache::freePages,
                cache::pagesInUse,
                cache::sequenceCount,
                () -> cache.sequences(id),
                () -> cache.batch(1, 4),
                () -> batch.refresh(id));
        for (ThrowingCallable use : uses) {
            assertThatThrownBy(use).isInstanceOf(IllegalStateException.class).hasMessage("this KvCache is closed");
        }
        try (GatedAttention attention = GatedAttention.builder()
                .queryHeads(HEADS)
                .headDim(DIM)
                .valueHeadDim(VALUE_DIM)
                .gate(Gate.none())
                .mask(Mask.causal())
                .build()) {
            Operands operands = Operands.of(
                            f32(1, 1, HEADS, DIM), cache.keys(), cache.values(), null, f32(1, 1, HEADS, VALUE_DIM))
                    .withSequences(batch.sequences());
            assertThatThrownBy(() -> attention.forward(operands)).isInstanceOf(IllegalStateException.class);
        }
    }
}
