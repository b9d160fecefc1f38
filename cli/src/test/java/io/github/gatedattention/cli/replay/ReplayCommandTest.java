package io.github.gatedattention.cli.replay;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.within;

import io.github.gatedattention.Backend;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.InstructionSet;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.cli.Backends;
import io.github.gatedattention.cli.Names;
import io.github.gatedattention.cli.Outcome;
import io.github.gatedattention.safetensors.SafetensorsFile;
import io.github.gatedattention.safetensors.SafetensorsTensor;
import io.github.gatedattention.safetensors.SafetensorsType;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Locale;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class ReplayCommandTest {
    @TempDir
    Path directory;

    private Path results() {
        return directory.resolve("results");
    }

    private SafetensorsFile result(String name, Arena arena) throws IOException {
        return SafetensorsFile.read(results().resolve(name + ".safetensors"), arena);
    }

    private float[] floats(Path file, String name, Arena arena) throws IOException {
        SafetensorsTensor tensor = SafetensorsFile.read(file, arena).tensors().get(name);
        return Tensor.of(tensor.data(), DataType.valueOf(tensor.dtype().name()), tensor.shape())
                .toFloatArray();
    }

    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16", "F16"})
    void resultHasTypeShapeAndMetadata(DataType type) throws IOException {
        Path file = new CaseFile(type).metadata("causal", "true").write(directory.resolve("one.safetensors"));
        String console = Outcome.of("replay", "--threads", 2, "--out", results(), file)
                .succeeded()
                .out();
        assertThat(console)
                .startsWith(file + ": ")
                .contains("2 threads", " ms -> ")
                .hasLineCount(1);
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsFile result = result("one", arena);
            assertThat(result.tensors()).containsOnlyKeys("out", "lse");
            assertThat(result.tensors().get("out").dtype().name()).isEqualTo(type.name());
            assertThat(result.tensors().get("out").shape()).containsExactly(2, 3, 4, 8);
            assertThat(result.tensors().get("lse").dtype()).isEqualTo(SafetensorsType.F32);
            assertThat(result.tensors().get("lse").shape()).containsExactly(2, 4, 3);
            assertThat(result.metadata())
                    .containsOnlyKeys("backend", "kernel", "instruction_set", "threads", "version")
                    .containsEntry("backend", Backends.best().name())
                    .containsEntry("threads", "2");
        }
    }

    /** The values, against the formula in float64: causal from the bottom right, a sink, a softcap, head 3 reads key/value head 1. */
    @Test
    void valuesAreThoseOfTheFormula() throws IOException {
        Path file = new CaseFile(DataType.F32)
                .with("sink", DataType.F32, 4)
                .metadata("causal", "true", "scale", "0.5", "softcap", "2.5", "activation", "two_sigmoid")
                .write(directory.resolve("one.safetensors"));
        for (Backend backend :
                Backends.all().stream().filter(Backend::isAvailable).toList()) {
            Outcome.of("replay", "--backend", backend.name(), "--out", results(), file)
                    .succeeded();
            try (Arena arena = Arena.ofConfined()) {
                assertThat(result("one", arena).metadata()).containsEntry("backend", backend.name());
                float[] q = floats(file, "q", arena);
                float[] k = floats(file, "k", arena);
                float[] v = floats(file, "v", arena);
                float[] gate = floats(file, "gate", arena);
                Path target = results().resolve("one.safetensors");
                float[] out = floats(target, "out", arena);
                float[] lse = floats(target, "lse", arena);
                int b = 1;
                int i = 1;
                int head = 3;
                double sum = Math.exp(floats(file, "sink", arena)[head]);
                double[] y = new double[8];
                for (int j = 0; j <= i + 5 - 3; j++) {
                    double score = 0;
                    for (int e = 0; e < 16; e++) {
                        score += q[((b * 3 + i) * 4 + head) * 16 + e] * (double) k[((b * 5 + j) * 2 + 1) * 16 + e];
                    }
                    double weight = Math.exp(2.5 * Math.tanh(score * 0.5 / 2.5));
                    sum += weight;
                    for (int e = 0; e < 8; e++) {
                        y[e] += weight * v[((b * 5 + j) * 2 + 1) * 8 + e];
                    }
                }
                assertThat((double) lse[(b * 4 + head) * 3 + i]).isCloseTo(Math.log(sum), within(1e-5));
                for (int e = 0; e < 8; e++) {
                    int at = ((b * 3 + i) * 4 + head) * 8 + e;
                    double expected = y[e] / sum * 2 / (1 + Math.exp(-gate[at]));
                    assertThat((double) out[at]).isCloseTo(expected, within(1e-5));
                }
            }
        }
    }

    /** A gate or weight with axes of 1 gives the same bits as the same values repeated. */
    @Test
    void axesOfOneAreShared() throws IOException {
        String[] settings = {"pre", "rms_norm", "norm_eps", "1e-5", "combination", "add", "activation", "silu"};
        Path shared = new CaseFile(DataType.F32)
                .with("gate", DataType.BF16, 1, 3, 1, 8)
                .with("norm_weight", DataType.F32, 1, 8)
                .metadata(settings)
                .write(directory.resolve("shared.safetensors"));
        Path repeated = directory.resolve("repeated.safetensors");
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsFile file = SafetensorsFile.read(shared, arena);
            byte[] gate = file.tensors().get("gate").data().toArray(ValueLayout.JAVA_BYTE);
            byte[] weight = file.tensors().get("norm_weight").data().toArray(ValueLayout.JAVA_BYTE);
            byte[] gates = new byte[2 * 3 * 4 * 16];
            byte[] weights = new byte[4 * 32];
            for (int at = 0; at < 2 * 3 * 4; at++) {
                System.arraycopy(gate, at / 4 % 3 * 16, gates, at * 16, 16);
            }
            for (int head = 0; head < 4; head++) {
                System.arraycopy(weight, 0, weights, head * 32, 32);
            }
            new CaseFile(DataType.F32)
                    .with("gate", SafetensorsType.BF16, gates, 2, 3, 4, 8)
                    .with("norm_weight", SafetensorsType.F32, weights, 4, 8)
                    .metadata(settings)
                    .write(repeated);
            Outcome.of("replay", "--out", results(), shared, repeated).succeeded();
            assertThat(results().resolve("shared.safetensors"))
                    .hasSameBinaryContentAs(results().resolve("repeated.safetensors"));
        }
    }

    @Test
    void optionalTensorsAndHeadwiseGates() throws IOException {
        Path none = new CaseFile(DataType.F32)
                .without("gate")
                .metadata("pre", "silu")
                .write(directory.resolve("none.safetensors"));
        Path headwise = new CaseFile(DataType.F16)
                .with("gate", DataType.F32, 2, 3, 4, 1)
                .write(directory.resolve("headwise.safetensors"));
        Path window = new CaseFile(DataType.BF16)
                .metadata("window_left", "1", "window_right", "0", "round_before_gate", "true")
                .write(directory.resolve("window"));
        assertThat(Outcome.of("replay", "--out", results(), none, headwise, window)
                        .succeeded()
                        .out())
                .hasLineCount(3);
        assertThat(filesIn(results()))
                .containsExactlyInAnyOrder("none.safetensors", "headwise.safetensors", "window.safetensors");
    }

    /** Whole numbers, and narrower keys, against the same case with the values that they stand for. */
    @Test
    void keysOfOtherTypes() throws IOException {
        Path whole = new CaseFile(DataType.F32)
                .withWholeNumbers()
                .metadata("causal", "true", "scale", "0.002")
                .write(directory.resolve("whole.safetensors"));
        Path half = new CaseFile(DataType.F32)
                .with("k", DataType.F16, 2, 5, 2, 16)
                .with("v", DataType.F16, 2, 5, 2, 8)
                .metadata("causal", "true")
                .write(directory.resolve("half.safetensors"));
        for (Backend backend :
                Backends.all().stream().filter(Backend::isAvailable).toList()) {
            try (Arena arena = Arena.ofConfined()) {
                CaseFile widened = new CaseFile(DataType.F32).metadata("causal", "true");
                widened.with("k", SafetensorsType.F32, bytes(floats(half, "k", arena)), 2, 5, 2, 16)
                        .with("v", SafetensorsType.F32, bytes(floats(half, "v", arena)), 2, 5, 2, 8);
                CaseFile scaled = new CaseFile(DataType.F32).metadata("causal", "true", "scale", "0.002");
                scaled.with("k", SafetensorsType.F32, bytes(scaled(whole, "k", arena)), 2, 5, 2, 16)
                        .with("v", SafetensorsType.F32, bytes(scaled(whole, "v", arena)), 2, 5, 2, 8);
                // The other tensors are the same: a case draws them first, and from the same seed.
                Path[] wide = {
                    widened.write(directory.resolve("widened.safetensors")),
                    scaled.write(directory.resolve("scaled.safetensors"))
                };
                Outcome.of("replay", "--backend", backend.name(), "--out", results(), half, whole, wide[0], wide[1])
                        .succeeded();
                assertSimilar("half", "widened", arena);
                assertSimilar("whole", "scaled", arena);
            }
        }
    }

    private void assertSimilar(String name, String other, Arena arena) throws IOException {
        for (String tensor : new String[] {"out", "lse"}) {
            float[] actual = floats(results().resolve(name + ".safetensors"), tensor, arena);
            float[] expected = floats(results().resolve(other + ".safetensors"), tensor, arena);
            for (int n = 0; n < expected.length; n++) {
                assertThat((double) actual[n])
                        .as("%s of %s, element %d", tensor, name, n)
                        .isCloseTo(expected[n], within(1e-5 * Math.max(1, Math.abs(expected[n]))));
            }
        }
    }

    private float[] scaled(Path file, String name, Arena arena) throws IOException {
        byte[] numbers =
                SafetensorsFile.read(file, arena).tensors().get(name).data().toArray(ValueLayout.JAVA_BYTE);
        float[] scales = floats(file, name + "_scale", arena);
        float[] values = new float[numbers.length];
        int dim = numbers.length / scales.length;
        for (int n = 0; n < values.length; n++) {
            values[n] = numbers[n] * scales[n / dim];
        }
        return values;
    }

    private static byte[] bytes(float[] values) {
        ByteBuffer bytes = ByteBuffer.allocate(values.length * Float.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asFloatBuffer().put(values);
        return bytes.array();
    }

    /** A merge, against the formula in float64; a part that saw no key does not count. */
    @ParameterizedTest
    @EnumSource(names = {"F32", "BF16", "F16"})
    void merges(DataType type) throws IOException {
        Path file = CaseFile.merge(DataType.F32)
                .with("sink", DataType.F32, 1)
                .metadata("type", type.name().toLowerCase(Locale.ROOT), "activation", "identity")
                .write(directory.resolve("merge.safetensors"));
        for (Backend backend :
                Backends.all().stream().filter(Backend::isAvailable).toList()) {
            String console = Outcome.of("replay", "--backend", backend.name(), "--out", results(), file)
                    .succeeded()
                    .out();
            assertThat(console)
                    .startsWith(file + ": merge, ")
                    .contains(" ms -> ")
                    .hasLineCount(1);
            try (Arena arena = Arena.ofConfined()) {
                SafetensorsFile result = result("merge", arena);
                assertThat(result.metadata())
                        .containsOnlyKeys("backend", "kernel", "instruction_set", "threads", "version")
                        .containsEntry("backend", backend.name())
                        .containsEntry("kernel", "merge");
                assertThat(result.tensors()).containsOnlyKeys("out", "lse");
                assertThat(result.tensors().get("out").dtype().name()).isEqualTo(type.name());
                assertThat(result.tensors().get("out").shape()).containsExactly(2, 3, 4, 8);
                assertThat(result.tensors().get("lse").shape()).containsExactly(2, 4, 3);
                float[] outs = floats(file, "partial_out", arena);
                float[] lses = floats(file, "partial_lse", arena);
                float[] gate = floats(file, "gate", arena);
                double sink = floats(file, "sink", arena)[0];
                Path target = results().resolve("merge.safetensors");
                float[] out = floats(target, "out", arena);
                float[] lse = floats(target, "lse", arena);
                for (int row = 0; row < 2 * 3 * 4; row++) {
                    int b = row / 12;
                    int i = row / 4 % 3;
                    int h = row % 4;
                    double sum = Math.exp(sink);
                    double[] y = new double[8];
                    for (int n = 0; n < 3; n++) {
                        double weight = Math.exp(lses[((n * 2 + b) * 4 + h) * 3 + i]);
                        sum += weight;
                        for (int d = 0; d < 8; d++) {
                            y[d] += weight * outs[(n * 24 + row) * 8 + d];
                        }
                    }
                    assertThat((double) lse[(b * 4 + h) * 3 + i]).isCloseTo(Math.log(sum), within(1e-5));
                    double tolerance = type == DataType.F32 ? 1e-5 : 2e-2;
                    for (int d = 0; d < 8; d++) {
                        double expected = y[d] / sum * gate[row * 8 + d];
                        assertThat((double) out[row * 8 + d])
                                .isCloseTo(expected, within(tolerance * Math.max(1, Math.abs(expected))));
                    }
                }
            }
        }
    }

    /** Two equal parts are merged into what each was. */
    @Test
    void mergesWhatReplayMade() throws IOException {
        Path part = new CaseFile(DataType.F32)
                .without("gate")
                .metadata("causal", "true")
                .write(directory.resolve("part.safetensors"));
        Outcome.of("replay", "--out", results(), part).succeeded();
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsFile result = result("part", arena);
            Path merge = CaseFile.merge(DataType.F32)
                    .without("gate")
                    .with("partial_out", SafetensorsType.F32, twice(result, "out"), 2, 2, 3, 4, 8)
                    .with("partial_lse", SafetensorsType.F32, twice(result, "lse"), 2, 2, 4, 3)
                    .write(directory.resolve("merge.safetensors"));
            Outcome.of("replay", "--out", results(), merge).succeeded();
            float[] out = floats(results().resolve("merge.safetensors"), "out", arena);
            float[] expected = floats(results().resolve("part.safetensors"), "out", arena);
            for (int n = 0; n < out.length; n++) {
                assertThat((double) out[n]).isCloseTo(expected[n], within(1e-6));
            }
        }
    }

    private static byte[] twice(SafetensorsFile file, String name) {
        byte[] once = file.tensors().get(name).data().toArray(ValueLayout.JAVA_BYTE);
        byte[] two = Arrays.copyOf(once, 2 * once.length);
        System.arraycopy(once, 0, two, once.length, once.length);
        return two;
    }

    /** Packed and paged, the same sequences give the same bits. */
    @Test
    void packedAndPagedSequences() throws IOException {
        String[] causal = {"causal", "true"};
        Path dense = new CaseFile(DataType.BF16)
                .with("q", DataType.BF16, 2, 3, 4, 16)
                .with("k", DataType.BF16, 2, 6, 2, 16)
                .with("v", DataType.BF16, 2, 6, 2, 8)
                .with("gate", DataType.BF16, 2, 3, 4, 8)
                .metadata(causal)
                .write(directory.resolve("dense.safetensors"));
        Path packed = new CaseFile(DataType.BF16)
                .with("q", DataType.BF16, 1, 6, 4, 16)
                .with("k", DataType.BF16, 1, 12, 2, 16)
                .with("v", DataType.BF16, 1, 12, 2, 8)
                .with("gate", DataType.BF16, 1, 6, 4, 8)
                .with("cu_seqlens_q", new int[] {0, 3, 6}, 3)
                .with("cu_seqlens_k", new int[] {0, 6, 12}, 3)
                .metadata(causal)
                .write(directory.resolve("packed.safetensors"));
        Path paged = new CaseFile(DataType.BF16)
                .with("q", DataType.BF16, 1, 6, 4, 16)
                .with("k", DataType.BF16, 6, 2, 2, 16)
                .with("v", DataType.BF16, 6, 2, 2, 8)
                .with("gate", DataType.BF16, 1, 6, 4, 8)
                .with("cu_seqlens_q", new int[] {0, 3, 6}, 3)
                .with("key_lengths", new int[] {6, 6}, 2)
                .with("block_table", new int[] {0, 1, 2, -1, 3, 4, 5, -1}, 2, 4)
                .metadata(causal)
                .write(directory.resolve("paged.safetensors"));
        for (Backend backend :
                Backends.all().stream().filter(Backend::isAvailable).toList()) {
            Outcome.of("replay", "--backend", backend.name(), "--out", results(), dense, packed, paged)
                    .succeeded();
            try (Arena arena = Arena.ofConfined()) {
                byte[] expected =
                        result("dense", arena).tensors().get("out").data().toArray(ValueLayout.JAVA_BYTE);
                for (String name : new String[] {"packed", "paged"}) {
                    SafetensorsTensor out = result(name, arena).tensors().get("out");
                    assertThat(out.shape()).containsExactly(1, 6, 4, 8);
                    assertThat(out.data().toArray(ValueLayout.JAVA_BYTE))
                            .as("%s on %s", name, backend.name())
                            .isEqualTo(expected);
                    assertThat(result(name, arena).tensors().get("lse").shape()).containsExactly(1, 4, 6);
                }
            }
        }
    }

    /** Each gradient has the type and shape of its tensor, which here is shared; the values are slopes of the result. */
    @Test
    void gradients() throws IOException {
        String[] settings = {"causal", "true", "pre", "rms_norm", "norm_eps", "1e-3", "softcap", "3"};
        CaseFile content = new CaseFile(DataType.F32)
                .with("gate", DataType.F32, 1, 3, 4, 1)
                .with("norm_weight", DataType.F32, 1, 8)
                .with("sink", DataType.F32, 4)
                .with("dout", DataType.F32, 2, 3, 4, 8)
                .metadata(settings);
        Path file = content.write(directory.resolve("case.safetensors"));
        for (Backend backend : withGradients()) {
            assertThat(Outcome.of("replay", "--backend", backend.name(), "--out", results(), file)
                            .succeeded()
                            .out())
                    .contains(" and ", "backward");
            try (Arena arena = Arena.ofConfined()) {
                SafetensorsFile result = result("case", arena);
                assertThat(result.metadata()).containsKey("backward_kernel");
                assertThat(result.tensors())
                        .containsOnlyKeys("out", "lse", "dq", "dk", "dv", "dgate", "dnorm_weight", "dsink");
                for (String name : new String[] {"q", "k", "v", "gate", "norm_weight", "sink"}) {
                    SafetensorsTensor gradient = result.tensors().get("d" + name);
                    SafetensorsTensor input =
                            SafetensorsFile.read(file, arena).tensors().get(name);
                    assertThat(gradient.shape()).as(name).isEqualTo(input.shape());
                    assertThat(gradient.dtype()).as(name).isEqualTo(input.dtype());
                    assertThat((double) floats(results().resolve("case.safetensors"), "d" + name, arena)[3])
                            .as("%s on %s", name, backend.name())
                            .isCloseTo(slope(content, file, name, 3), within(2e-2));
                }
            }
        }
    }

    /** Half the difference of {@code sum dout out} where element {@code at} of a tensor is larger and smaller by a little. */
    private double slope(CaseFile content, Path file, String name, int at) throws IOException {
        double[] sums = new double[2];
        float step = 0x1p-7f;
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsTensor tensor =
                    SafetensorsFile.read(file, arena).tensors().get(name);
            byte[] before = tensor.data().toArray(ValueLayout.JAVA_BYTE);
            float[] dout = floats(file, "dout", arena);
            for (int side = 0; side < 2; side++) {
                byte[] moved = before.clone();
                ByteBuffer bytes = ByteBuffer.wrap(moved).order(ByteOrder.LITTLE_ENDIAN);
                bytes.putFloat(at * Float.BYTES, bytes.getFloat(at * Float.BYTES) + (side == 0 ? step : -step));
                content.with(name, tensor.dtype(), moved, tensor.shape());
                Path movedFile = content.write(directory.resolve("moved.safetensors"));
                Outcome.of("replay", "--backend", "java", "--out", results(), movedFile)
                        .succeeded();
                float[] out = floats(results().resolve("moved.safetensors"), "out", arena);
                for (int n = 0; n < out.length; n++) {
                    sums[side] += (double) out[n] * dout[n];
                }
            }
            content.with(name, tensor.dtype(), before, tensor.shape());
        }
        return (sums[0] - sums[1]) / (2 * step);
    }

    private static List<Backend> withGradients() {
        return Backends.all().stream().filter(Backend::isAvailable).toList();
    }

    @Test
    void gradientsOfTypesAndSequences() throws IOException {
        Path plain = new CaseFile(DataType.BF16)
                .without("gate")
                .with("dout", DataType.BF16, 2, 3, 4, 8)
                .write(directory.resolve("plain.safetensors"));
        Path padded = new CaseFile(DataType.F16)
                .with("gate", DataType.F32, 2, 3, 4, 8)
                .with("query_lengths", new int[] {3, 1}, 2)
                .with("key_lengths", new int[] {5, 2}, 2)
                .with("dout", DataType.F16, 2, 3, 4, 8)
                .write(directory.resolve("padded.safetensors"));
        for (Backend backend : withGradients()) {
            Outcome.of("replay", "--backend", backend.name(), "--out", results(), plain, padded)
                    .succeeded();
            try (Arena arena = Arena.ofConfined()) {
                assertThat(result("plain", arena).tensors()).containsOnlyKeys("out", "lse", "dq", "dk", "dv");
                assertThat(result("plain", arena).tensors().get("dk").dtype()).isEqualTo(SafetensorsType.BF16);
                assertThat(result("padded", arena).tensors().get("dgate").dtype())
                        .isEqualTo(SafetensorsType.F32);
                float[] dv = floats(results().resolve("padded.safetensors"), "dv", arena);
                for (int n = 0; n < dv.length; n++) {
                    boolean inUse = n / (2 * 8) % 5 < (n < dv.length / 2 ? 5 : 2);
                    assertThat(dv[n] != 0).as("dv %d", n).isEqualTo(inUse);
                }
            }
        }
    }

    @Test
    void paddedSequences() throws IOException {
        Path file = new CaseFile(DataType.F32)
                .with("query_lengths", new int[] {3, 1}, 2)
                .with("key_lengths", new int[] {5, 4}, 2)
                .with("key_starts", new int[] {0, 4}, 2)
                .write(directory.resolve("padded.safetensors"));
        Outcome.of("replay", "--out", results(), file).succeeded();
        try (Arena arena = Arena.ofConfined()) {
            float[] lse = floats(results().resolve("padded.safetensors"), "lse", arena);
            // The first sequence sees keys; the second has one query, which sees none, and two rows of padding.
            for (int i = 0; i < lse.length; i++) {
                assertThat(lse[i] == Float.NEGATIVE_INFINITY).as("lse %d", i).isEqualTo(i >= 4 * 3);
            }
        }
    }

    @Test
    void emptyExtents() throws IOException {
        Path noKeys = new CaseFile(DataType.F32)
                .with("k", DataType.F32, 2, 0, 2, 16)
                .with("v", DataType.F32, 2, 0, 2, 8)
                .write(directory.resolve("noKeys.safetensors"));
        Path noQueries = new CaseFile(DataType.F32)
                .with("q", DataType.F32, 2, 0, 4, 16)
                .with("gate", DataType.F32, 2, 1, 4, 8)
                .write(directory.resolve("noQueries.safetensors"));
        Outcome.of("replay", "--out", results(), noKeys, noQueries).succeeded();
        try (Arena arena = Arena.ofConfined()) {
            assertThat(floats(results().resolve("noKeys.safetensors"), "lse", arena))
                    .containsOnly(Float.NEGATIVE_INFINITY);
            assertThat(floats(results().resolve("noKeys.safetensors"), "out", arena))
                    .containsOnly(0f);
            assertThat(result("noQueries", arena).tensors().get("out").shape()).containsExactly(2, 0, 4, 8);
        }
    }

    /** The bits do not depend on the number of threads. */
    @Test
    void threadsDoNotChangeTheResult() throws IOException {
        Path file = new CaseFile(DataType.BF16).write(directory.resolve("one.safetensors"));
        byte[] first = null;
        for (int threads : new int[] {1, 2, 5}) {
            Outcome.of("replay", "--threads", threads, "--out", results(), file).succeeded();
            try (Arena arena = Arena.ofConfined()) {
                byte[] out = result("one", arena).tensors().get("out").data().toArray(ValueLayout.JAVA_BYTE);
                first = first == null ? out : first;
                assertThat(out).isEqualTo(first);
            }
        }
    }

    @Test
    void instructionSetIsCapped() throws IOException {
        Path file = new CaseFile(DataType.F32).write(directory.resolve("one.safetensors"));
        Outcome.of("replay", "--max-isa", "scalar", "--out", results(), file).succeeded();
        try (Arena arena = Arena.ofConfined()) {
            assertThat(result("one", arena).metadata()).containsEntry("instruction_set", "scalar");
        }
    }

    @Test
    void everyInstructionSetIsACap() throws IOException {
        Path file = new CaseFile(DataType.BF16).write(directory.resolve("one.safetensors"));
        for (InstructionSet cap : InstructionSet.values()) {
            Outcome.of("replay", "--max-isa", Names.of(cap), "--out", results(), file)
                    .succeeded();
            try (Arena arena = Arena.ofConfined();
                    GatedAttention capped = GatedAttention.builder()
                            .queryHeads(1)
                            .headDim(8)
                            .maxInstructionSet(cap)
                            .build()) {
                assertThat(result("one", arena).metadata())
                        .containsEntry("instruction_set", Names.of(capped.instructionSet()));
            }
        }
    }

    /** As users run it: exit codes, and standard output and error kept apart. */
    @Test
    void inAJvmOfItsOwn() throws Exception {
        Path good = new CaseFile(DataType.F32).write(directory.resolve("good.safetensors"));
        Path bad = new CaseFile(DataType.F32).metadata("causal", "yes").write(directory.resolve("bad.safetensors"));
        Outcome right =
                Outcome.ofProcess(directory, "replay", "--out", results(), good).succeeded();
        assertThat(right.out()).contains(results().resolve("good.safetensors").toString());
        Files.delete(results().resolve("good.safetensors"));
        Outcome.ofProcess(directory, "replay", "--out", results(), good, bad)
                .refused(bad + ": metadata causal is \"yes\", allowed are false, true");
        assertThat(filesIn(results())).isEmpty();
    }

    private static Stream<String> filesIn(Path directory) throws IOException {
        try (Stream<Path> files = Files.list(directory)) {
            return files.map(file -> file.getFileName().toString()).toList().stream();
        }
    }
}
