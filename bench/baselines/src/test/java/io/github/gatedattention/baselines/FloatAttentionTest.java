package io.github.gatedattention.baselines;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.sun.management.ThreadMXBean;
import java.lang.management.ManagementFactory;
import java.util.ArrayList;
import java.util.List;
import java.util.function.BiFunction;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.MethodSource;

class FloatAttentionTest {
    private static final double MAX_RELATIVE_ERROR = 2e-6;

    /** Odd sizes on purpose: ragged blocks of queries and keys, odd groups, dimensions below and above a panel. */
    static List<AttentionShape> shapes() {
        List<AttentionShape> shapes = new ArrayList<>();
        for (Layout layout : Layout.values()) {
            for (boolean causal : new boolean[] {true, false}) {
                shapes.add(new AttentionShape(1, 1, 1, 7, 7, 16, causal, layout));
                shapes.add(new AttentionShape(2, 6, 2, 33, 127, 48, causal, layout));
                shapes.add(new AttentionShape(1, 4, 2, 300, 300, 128, causal, layout));
                shapes.add(new AttentionShape(1, 8, 1, 65, 64, 256, causal, layout));
                shapes.add(new AttentionShape(2, 2, 2, 127, 33, 80, causal, layout));
                shapes.add(new AttentionShape(1, 1, 1, 1, 1, 16, causal, layout));
                shapes.add(new AttentionShape(2, 4, 2, 1, 1021, 128, causal, layout));
                shapes.add(new AttentionShape(1, 8, 1, 1, 513, 256, causal, layout));
                shapes.add(new AttentionShape(3, 3, 1, 1, 1500, 48, causal, layout));
                shapes.add(new AttentionShape(1, 5, 5, 1, 66, 80, causal, layout));
            }
        }
        return shapes;
    }

    @ParameterizedTest
    @MethodSource("shapes")
    void vectorApiAgreesWithFloat64(AttentionShape shape) {
        assertAgrees(shape, VectorApiAttention::new);
    }

    @ParameterizedTest
    @MethodSource("shapes")
    void plainJavaAgreesWithFloat64(AttentionShape shape) {
        assertAgrees(shape, PlainJavaAttention::new);
    }

    private static void assertAgrees(AttentionShape shape, BiFunction<AttentionShape, Integer, FloatAttention> way) {
        Case operands = Case.random(shape, 20251123);
        double[] expected = operands.reference();
        for (int threads : new int[] {1, 3}) {
            assertThat(Float64Reference.relativeError(expected, operands.run(way, threads)))
                    .as("with %d threads", threads)
                    .isLessThan(MAX_RELATIVE_ERROR);
        }
    }

    @Test
    void largeScoresNeitherOverflowNorLoseTheMaximum() {
        var shape = new AttentionShape(1, 2, 1, 130, 130, 16, true, Layout.SEQUENCE_MAJOR);
        Case operands = Case.random(shape, 7);
        for (int i = 0; i < operands.q().length; i++) {
            operands.q()[i] *= 200;
        }
        float[] out = operands.run(VectorApiAttention::new, 1);
        assertThat(Float64Reference.relativeError(operands.reference(), out)).isLessThan(1e-4);
    }

    @Test
    void vectorApiAllocatesNothingOnceWarm() {
        assertAllocatesNothing(new AttentionShape(1, 2, 1, 70, 70, 64, true, Layout.HEAD_MAJOR));
        assertAllocatesNothing(new AttentionShape(1, 4, 2, 1, 600, 64, true, Layout.HEAD_MAJOR));
    }

    /** Until C2 has compiled every method, vectors are boxed: calls are repeated until they are not, a minute at most. */
    private static void assertAllocatesNothing(AttentionShape shape) {
        var threads = (ThreadMXBean) ManagementFactory.getThreadMXBean();
        Case operands = Case.random(shape, 1);
        float[] out = new float[shape.queryElements()];
        long allocated = Long.MAX_VALUE;
        long end = System.nanoTime() + 60_000_000_000L;
        try (var attention = new VectorApiAttention(shape, 1)) {
            while (allocated > 0 && System.nanoTime() < end) {
                long before = threads.getCurrentThreadAllocatedBytes();
                for (int i = 0; i < 20; i++) {
                    attention.forward(operands.q(), operands.k(), operands.v(), operands.gate(), out);
                }
                allocated = threads.getCurrentThreadAllocatedBytes() - before;
            }
        }
        assertThat(allocated).as("bytes in 20 calls of " + shape).isZero();
    }

    @Test
    void refusesWhatItCannotCompute() {
        var shape = new AttentionShape(1, 1, 1, 2, 2, 24, true, Layout.HEAD_MAJOR);
        assertThatThrownBy(() -> new VectorApiAttention(shape, 1))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("headDim is 24; it must be a multiple of 16");
        assertThatThrownBy(() -> new PlainJavaAttention(shape, 0))
                .isInstanceOf(IllegalArgumentException.class)
                .hasMessage("threads is 0; it must be at least 1");
        try (var attention = new PlainJavaAttention(shape, 1)) {
            float[] rows = new float[48];
            assertThatThrownBy(() -> attention.forward(rows, rows, rows, new float[24], rows))
                    .isInstanceOf(IllegalArgumentException.class)
                    .hasMessage("gate holds 24 elements; the shape needs 48");
        }
    }

    @Test
    void refusesCallsAfterClose() {
        var shape = new AttentionShape(1, 1, 1, 2, 2, 16, true, Layout.HEAD_MAJOR);
        var attention = new VectorApiAttention(shape, 2);
        attention.close();
        float[] rows = new float[32];
        assertThatThrownBy(() -> attention.forward(rows, rows, rows, rows, new float[32]))
                .isInstanceOf(IllegalStateException.class)
                .hasMessage("the attention was closed; create another one");
    }
}
