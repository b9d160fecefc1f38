package io.github.gatedattention.golden;

import io.github.gatedattention.DataType;
import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.reference.Expected;
import io.github.gatedattention.reference.Floats;
import io.github.gatedattention.reference.Reference;
import io.github.gatedattention.testing.Target;
import java.util.Arrays;
import java.util.stream.Stream;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** The official layer on a left-padded batch, and token by token on a cache. */
class PaddingAndDecodeTest {
    private static final int PREFILL = 6;
    private static final int CAPACITY = 16;

    private enum Case {
        HEADWISE("headwise", Packing.GROUPED_HEADWISE),
        ELEMENTWISE("elementwise", Packing.GROUPED_ELEMENTWISE);

        final GoldenFile file;
        final AttentionLayer layer;

        Case(String gate, Packing packing) {
            file = new GoldenFile("official_attn/" + gate + "_padding_and_decode.safetensors");
            layer = AttentionLayer.official(file, packing);
        }
    }

    static Stream<Arguments> casesAndTargets() {
        return Arrays.stream(Case.values()).flatMap(c -> Target.all().map(target -> Arguments.of(c, target)));
    }

    /** The valid part of every padded sequence is a view of its own. */
    @ParameterizedTest
    @MethodSource("casesAndTargets")
    void leftPaddedBatch(Case c, Target target) {
        leftPaddedBatch(c, target, (call, b, first) -> {
            int length = c.file.shape("x")[1];
            call.one(b, first, length, first, length, null);
        });
    }

    /** The padding is part of the call, which is told where the keys start. */
    @ParameterizedTest
    @MethodSource("casesAndTargets")
    void leftPaddedBatchWithStarts(Case c, Target target) {
        leftPaddedBatch(c, target, LayerCall::leftPadded);
    }

    private interface Sequence {
        void attend(LayerCall call, int b, int first);
    }

    private static void leftPaddedBatch(Case c, Target target, Sequence sequence) {
        int batch = c.file.shape("x")[0];
        int length = c.file.shape("x")[1];
        double[] valid = c.file.values("valid_rows");
        double[] official = c.file.values("y_f64_pure");
        AttentionLayer.Projected projected = c.layer.project(c.file.values("x"), batch, length, 0);
        for (DataType type : Checks.TYPES) {
            try (LayerCall call = new LayerCall(target, type, projected, length)) {
                call.append(0, length);
                for (int b = 0; b < batch; b++) {
                    int first = firstValid(valid, b, length);
                    sequence.attend(call, b, first);
                    String what = c + " sequence " + b + " " + type + " on " + target;
                    check(what, c, type, projected, b, first, call.out(), official);
                }
            }
        }
    }

    private static int firstValid(double[] valid, int b, int length) {
        int first = 0;
        while (valid[b * length + first] == 0) {
            first++;
        }
        return first;
    }

    /** A prefill of 6 tokens, then one token at a time; the rest of the cache is NaN. */
    @ParameterizedTest
    @MethodSource("casesAndTargets")
    void decodeOnCache(Case c, Target target) {
        int length = c.file.shape("decode_x")[1];
        double[] official = c.file.values("decode_y_f64_pure");
        AttentionLayer.Projected projected = c.layer.project(c.file.values("decode_x"), 1, length, 0);
        for (DataType type : Checks.TYPES) {
            try (LayerCall call = new LayerCall(target, type, projected, CAPACITY)) {
                call.append(0, PREFILL).one(0, 0, PREFILL, 0, CAPACITY, PREFILL);
                for (int token = PREFILL; token < length; token++) {
                    call.append(token, token + 1).one(0, token, token + 1, 0, CAPACITY, token + 1);
                }
                String what = c + " decode " + type + " on " + target;
                check(what, c, type, projected, 0, 0, call.out(), official);
            }
        }
    }

    /** Compares sequence {@code b} from token {@code first} on, which is also its first visible key. */
    private static void check(
            String what,
            Case c,
            DataType type,
            AttentionLayer.Projected projected,
            int b,
            int first,
            DoubleTensor out,
            double[] official) {
        int length = projected.sequence();
        AttentionLayer.Projected rounded = projected.rounded(type);
        Expected expected = reference(c, type, rounded, b, first).compute();
        Expected exact = reference(c, type, projected, b, first)
                .inputError(Floats.roundoff(type))
                .compute();
        DoubleTensor actual = tokens(out, b, first, length);
        Checks.within(what, actual, expected.out(), expected.outBound());
        int hidden = c.layer.hidden();
        double[] y = Arrays.copyOfRange(official, (b * length + first) * hidden, (b + 1) * length * hidden);
        double[] bound = Checks.plus(c.layer.outputBound(exact.outBound()), Checks.SAME_IN_FLOAT64);
        Checks.within(what + " y", c.layer.output(actual), y, bound);
    }

    private static Reference.Builder reference(
            Case c, DataType type, AttentionLayer.Projected operands, int b, int first) {
        int length = operands.sequence();
        return Reference.of(
                        c.layer.setting(),
                        type,
                        tokens(operands.q(), b, first, length),
                        tokens(operands.k(), b, first, length),
                        tokens(operands.v(), b, first, length))
                .gate(tokens(operands.gate(), b, first, length));
    }

    /** {@code [1, to - from, H, D]} of {@code [B, S, H, D]}. */
    private static DoubleTensor tokens(DoubleTensor tensor, int b, int from, int to) {
        int[] shape = tensor.shape();
        int row = shape[2] * shape[3];
        int start = b * shape[1] * row;
        double[] part = Arrays.copyOfRange(tensor.values(), start + from * row, start + to * row);
        return new DoubleTensor(part, new int[] {1, to - from, shape[2], shape[3]});
    }
}
