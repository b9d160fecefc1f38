package io.github.gatedattention;

import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.bindings.generated.ga_attention_params;
import io.github.gatedattention.bindings.generated.ga_error;
import io.github.gatedattention.bindings.generated.ga_runtime_info;
import io.github.gatedattention.bindings.generated.ga_runtime_options;
import io.github.gatedattention.bindings.generated.ga_tensor;
import io.github.gatedattention.bindings.generated.gated_attention_h;
import io.github.gatedattention.reference.Setting;
import io.github.gatedattention.testing.Sample;
import io.github.gatedattention.testing.Target;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.util.function.Consumer;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.condition.DisabledIfSystemProperty;

/** What the typed API cannot even say, sent to the C ABI as it is: the door refuses it by itself. */
@DisabledIfSystemProperty(named = "ga.native", matches = "false")
class AbiDoorTest {
    private static final int INVALID_ARGUMENT = gated_attention_h.GA_INVALID_ARGUMENT();
    private static final int INVALID_HANDLE = gated_attention_h.GA_INVALID_HANDLE();

    private final Arena arena = Arena.ofShared();
    private final Sample sample = Sample.of(
            arena,
            Setting.causal(16).withGate(Activation.SIGMOID, Combination.MULTIPLY),
            DataType.F32,
            new Sample.Shape(2, 5, 9, 4, 2, 16, 16));
    private final byte[] untouched = sample.outputBytes();
    private final MemorySegment error = ga_error.allocate(arena);
    private final MemorySegment handle = arena.allocate(ValueLayout.JAVA_LONG);

    @BeforeEach
    void create() {
        // Loads the library.
        assertThat(Target.cpu()).isNotEmpty();
        assertThat(gated_attention_h.ga_runtime_create(options(), handle, error))
                .isZero();
    }

    @AfterEach
    void nothingIsHalfDone() {
        try (arena) {
            assertThat(gated_attention_h.ga_runtime_close(handle(), error)).isZero();
            assertThat(sample.outputBytes()).isEqualTo(untouched);
        }
    }

    private MemorySegment options() {
        MemorySegment options = ga_runtime_options.allocate(arena);
        ga_runtime_options.struct_size(options, ga_runtime_options.sizeof());
        ga_runtime_options.threads(options, 2);
        ga_runtime_options.max_isa(options, gated_attention_h.GA_ISA_COUNT());
        return options;
    }

    private long handle() {
        return handle.get(ValueLayout.JAVA_LONG, 0);
    }

    private MemorySegment params() {
        MemorySegment p = ga_attention_params.allocate(arena);
        ga_attention_params.struct_size(p, ga_attention_params.sizeof());
        ga_attention_params.batch(p, 2);
        ga_attention_params.seq_q(p, 5);
        ga_attention_params.seq_k(p, 9);
        ga_attention_params.heads_q(p, 4);
        ga_attention_params.heads_kv(p, 2);
        ga_attention_params.head_dim(p, 16);
        ga_attention_params.head_dim_v(p, 16);
        ga_attention_params.window_left(p, -1);
        ga_attention_params.window_right(p, -1);
        ga_attention_params.scale(p, 0.25f);
        Operands o = sample.operands();
        put(ga_attention_params.q(p), o.q());
        put(ga_attention_params.k(p), o.k());
        put(ga_attention_params.v(p), o.v());
        put(ga_attention_params.gate(p), o.gate());
        put(ga_attention_params.out(p), o.out());
        return p;
    }

    private static void put(MemorySegment at, Tensor tensor) {
        ga_tensor.data(at, tensor.segment());
        ga_tensor.bytes(at, tensor.segment().byteSize());
        for (int axis = 0; axis < 4; axis++) {
            ga_tensor.stride(at, axis, tensor.strides()[axis]);
        }
        ga_tensor.dtype(at, gated_attention_h.GA_F32());
    }

    /** Breaks one field of good parameters; the call refuses them. */
    private void refused(int status, Consumer<MemorySegment> breaking, String... parts) {
        MemorySegment params = params();
        breaking.accept(params);
        error.fill((byte) 0);
        assertThat(gated_attention_h.ga_attention_forward(handle(), params, error))
                .isEqualTo(status);
        assertThat(ga_error.status(error)).isEqualTo(status);
        assertThat(error.getString(ga_error.message$offset())).contains(parts).doesNotContain("\n");
        // A caller need not lend an error.
        assertThat(gated_attention_h.ga_attention_forward(handle(), params, MemorySegment.NULL))
                .isEqualTo(status);
    }

    @Test
    void no83NullPointers() {
        refused(INVALID_ARGUMENT, p -> ga_tensor.data(ga_attention_params.q(p), MemorySegment.NULL), "q");
        refused(INVALID_ARGUMENT, p -> ga_tensor.data(ga_attention_params.k(p), MemorySegment.NULL), "k");
        refused(INVALID_ARGUMENT, p -> ga_tensor.data(ga_attention_params.v(p), MemorySegment.NULL), "v");
        refused(INVALID_ARGUMENT, p -> ga_tensor.data(ga_attention_params.out(p), MemorySegment.NULL), "out");
        assertThat(gated_attention_h.ga_attention_forward(handle(), MemorySegment.NULL, error))
                .isEqualTo(INVALID_ARGUMENT);
        assertThat(gated_attention_h.ga_runtime_create(MemorySegment.NULL, handle, error))
                .isEqualTo(INVALID_ARGUMENT);
        assertThat(gated_attention_h.ga_runtime_create(options(), MemorySegment.NULL, error))
                .isEqualTo(INVALID_ARGUMENT);
    }

    @Test
    void no84To88Tensors() {
        refused(
                INVALID_ARGUMENT,
                p -> ga_tensor.data(
                        ga_attention_params.v(p),
                        MemorySegment.ofAddress(sample.operands().v().segment().address() + 2)),
                "v",
                "4");
        refused(INVALID_ARGUMENT, p -> ga_attention_params.batch(p, -1), "batch", "-1");
        refused(INVALID_ARGUMENT, p -> ga_attention_params.seq_q(p, Long.MIN_VALUE), "seq_q", "-9223372036854775808");
        refused(INVALID_ARGUMENT, p -> ga_attention_params.seq_k(p, Long.MAX_VALUE), "k");
        refused(INVALID_ARGUMENT, p -> ga_attention_params.head_dim(p, 12), "head_dim", "12");
        refused(INVALID_ARGUMENT, p -> ga_attention_params.head_dim_v(p, 1 << 30), "head_dim_v", "1073741824");
        refused(INVALID_ARGUMENT, p -> ga_tensor.stride(ga_attention_params.out(p), 1, 0), "out", "0");
        refused(INVALID_ARGUMENT, p -> ga_tensor.stride(ga_attention_params.k(p), 2, -16), "k", "-16");
        refused(INVALID_ARGUMENT, p -> ga_tensor.stride(ga_attention_params.k(p), 0, Long.MAX_VALUE), "k");
        refused(INVALID_ARGUMENT, p -> ga_tensor.stride(ga_attention_params.q(p), 3, 2), "q", "2");
        refused(INVALID_ARGUMENT, p -> ga_tensor.bytes(ga_attention_params.q(p), 2559), "q", "2559", "2560");
        refused(INVALID_ARGUMENT, p -> ga_tensor.bytes(ga_attention_params.out(p), 2559), "out", "2559", "2560");
        refused(INVALID_ARGUMENT, p -> ga_tensor.bytes(ga_attention_params.gate(p), -1), "gate", "-1");
    }

    @Test
    void no84To89Sinks() {
        refused(INVALID_ARGUMENT, p -> sink(p, 4), "sink", "f32, bf16 or f16");
        refused(INVALID_ARGUMENT, p -> sink(p, gated_attention_h.GA_I32()), "sink", "i32", "f32, bf16 or f16");
        refused(
                INVALID_ARGUMENT,
                p -> ga_tensor.bytes(sink(p, gated_attention_h.GA_F32()), 15),
                "sink",
                "15 bytes",
                "16");
        refused(
                INVALID_ARGUMENT,
                p -> ga_tensor.stride(sink(p, gated_attention_h.GA_F32()), 2, -1),
                "sink",
                "-1",
                "head");
        refused(
                INVALID_ARGUMENT,
                p -> ga_tensor.data(
                        sink(p, gated_attention_h.GA_F32()), sample.out().segment()),
                "out",
                "overlaps sink");
    }

    /** Gives the parameters a good sink of four logits but for its type. */
    private MemorySegment sink(MemorySegment params, int type) {
        MemorySegment sink = ga_attention_params.sink(params);
        ga_tensor.data(sink, arena.allocate(16, 16));
        ga_tensor.bytes(sink, 16);
        ga_tensor.stride(sink, 2, 1);
        ga_tensor.dtype(sink, type);
        return sink;
    }

    @Test
    void no89And90OverlapsAndHeads() {
        refused(
                INVALID_ARGUMENT,
                p -> {
                    ga_tensor.data(
                            ga_attention_params.out(p), sample.operands().k().segment());
                    ga_tensor.bytes(ga_attention_params.out(p), 2560);
                },
                "out",
                "k");
        refused(INVALID_ARGUMENT, p -> ga_attention_params.heads_kv(p, 3), "heads_q", "4", "3");
        refused(INVALID_ARGUMENT, p -> ga_attention_params.heads_kv(p, 0), "heads_kv", "0");
    }

    @Test
    void no93ScaleThatIsNoNumber() {
        refused(INVALID_ARGUMENT, p -> ga_attention_params.scale(p, Float.NaN), "scale", "nan");
        refused(INVALID_ARGUMENT, p -> ga_attention_params.scale(p, Float.NEGATIVE_INFINITY), "scale", "inf");
        refused(INVALID_ARGUMENT, p -> ga_attention_params.softcap(p, Float.NaN), "softcap", "nan", "0");
        refused(INVALID_ARGUMENT, p -> ga_attention_params.softcap(p, Float.POSITIVE_INFINITY), "softcap", "inf", "0");
        refused(INVALID_ARGUMENT, p -> ga_attention_params.softcap(p, -5), "softcap", "-5", "0");
    }

    @Test
    void no94UnknownEnumsAndFlags() {
        refused(INVALID_ARGUMENT, p -> ga_attention_params.activation(p, 7), "activation", "7");
        refused(INVALID_ARGUMENT, p -> ga_attention_params.activation(p, -1), "activation", "-1");
        refused(INVALID_ARGUMENT, p -> ga_attention_params.combination(p, 2), "combination", "2");
        refused(INVALID_ARGUMENT, p -> ga_attention_params.pre_gate(p, 99), "pre_gate", "99");
        refused(INVALID_ARGUMENT, p -> ga_attention_params.flags(p, 4), "flags", "4");
        refused(INVALID_ARGUMENT, p -> ga_attention_params.flags(p, Integer.MIN_VALUE), "flags");
        refused(INVALID_ARGUMENT, p -> ga_tensor.dtype(ga_attention_params.q(p), 9), "q", "9");
        refused(INVALID_ARGUMENT, p -> ga_tensor.dtype(ga_attention_params.k(p), gated_attention_h.GA_BF16()), "k");
        refused(INVALID_ARGUMENT, p -> ga_tensor.reserved(ga_attention_params.v(p), 1), "v", "reserved", "1");
        refused(INVALID_ARGUMENT, p -> ga_attention_params.window_left(p, -2), "window_left", "-2");
    }

    @Test
    void no95StructSizes() {
        long size = ga_attention_params.sizeof();
        for (long wrong :
                new long[] {0, 8, size - 8, size - 1, size + 1, size + 8, -1, Long.MIN_VALUE, Long.MAX_VALUE}) {
            refused(
                    INVALID_ARGUMENT,
                    p -> ga_attention_params.struct_size(p, wrong),
                    "struct_size",
                    String.valueOf(wrong));
        }
        MemorySegment options = options();
        ga_runtime_options.struct_size(options, 4);
        MemorySegment none = arena.allocate(ValueLayout.JAVA_LONG);
        assertThat(gated_attention_h.ga_runtime_create(options, none, error)).isEqualTo(INVALID_ARGUMENT);
        MemorySegment info = ga_runtime_info.allocate(arena);
        ga_runtime_info.struct_size(info, 1);
        assertThat(gated_attention_h.ga_runtime_query(handle(), info, error)).isEqualTo(INVALID_ARGUMENT);
        assertThat(none.get(ValueLayout.JAVA_LONG, 0)).isZero();
    }

    @Test
    void no96Handles() {
        for (long wrong : new long[] {
            0, -1, handle() + 1, handle() ^ (1L << 40), sample.out().segment().address()
        }) {
            assertThat(gated_attention_h.ga_attention_forward(wrong, params(), error))
                    .isEqualTo(INVALID_HANDLE);
            assertThat(gated_attention_h.ga_runtime_close(wrong, error)).isEqualTo(INVALID_HANDLE);
            assertThat(error.getString(ga_error.message$offset())).contains("runtime");
        }
        MemorySegment second = arena.allocate(ValueLayout.JAVA_LONG);
        assertThat(gated_attention_h.ga_runtime_create(options(), second, error))
                .isZero();
        long stale = second.get(ValueLayout.JAVA_LONG, 0);
        assertThat(gated_attention_h.ga_runtime_close(stale, error)).isZero();
        assertThat(gated_attention_h.ga_runtime_close(stale, error)).isEqualTo(INVALID_HANDLE);
        assertThat(gated_attention_h.ga_attention_forward(stale, params(), error))
                .isEqualTo(INVALID_HANDLE);
        // A new runtime must not answer to the old number.
        assertThat(gated_attention_h.ga_runtime_create(options(), second, error))
                .isZero();
        assertThat(second.get(ValueLayout.JAVA_LONG, 0)).isNotEqualTo(stale);
        assertThat(gated_attention_h.ga_attention_forward(stale, params(), error))
                .isEqualTo(INVALID_HANDLE);
        assertThat(gated_attention_h.ga_runtime_close(second.get(ValueLayout.JAVA_LONG, 0), error))
                .isZero();
    }

    @Test
    void runtimeOptions() {
        MemorySegment none = arena.allocate(ValueLayout.JAVA_LONG);
        for (int threads : new int[] {0, -1, 1025, Integer.MAX_VALUE}) {
            MemorySegment options = options();
            ga_runtime_options.threads(options, threads);
            assertThat(gated_attention_h.ga_runtime_create(options, none, error))
                    .isEqualTo(INVALID_ARGUMENT);
            assertThat(error.getString(ga_error.message$offset())).contains("threads", String.valueOf(threads));
        }
        for (int isa : new int[] {-1, gated_attention_h.GA_ISA_COUNT() + 1}) {
            MemorySegment options = options();
            ga_runtime_options.max_isa(options, isa);
            assertThat(gated_attention_h.ga_runtime_create(options, none, error))
                    .isEqualTo(INVALID_ARGUMENT);
            assertThat(error.getString(ga_error.message$offset())).contains("max_isa", String.valueOf(isa));
        }
        assertThat(none.get(ValueLayout.JAVA_LONG, 0)).isZero();
    }

    /** The good parameters that the tests above break are good. */
    @Test
    void goodParametersAreAccepted() {
        MemorySegment params = params();
        MemorySegment out = arena.allocate(2560, 64);
        ga_tensor.data(ga_attention_params.out(params), out);
        assertThat(gated_attention_h.ga_attention_forward(handle(), params, error))
                .isZero();
        assertThat(out.getAtIndex(ValueLayout.JAVA_FLOAT, 639)).isFinite();
    }
}
