package io.github.gatedattention.cli.replay;

import static java.nio.charset.StandardCharsets.UTF_8;
import static org.assertj.core.api.Assertions.assertThat;

import io.github.gatedattention.DataType;
import io.github.gatedattention.cli.Outcome;
import io.github.gatedattention.safetensors.SafetensorsType;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.Arguments;
import org.junit.jupiter.params.provider.MethodSource;

/** Wrong cases and wrong options: one sentence, exit code 2, and nothing written. */
class ReplayRefusalTest {
    @TempDir
    Path directory;

    private static CaseFile valid() {
        return new CaseFile(DataType.F32);
    }

    static Stream<Arguments> wrongCases() {
        return Stream.of(
                Arguments.of(
                        valid().metadata("casual", "true"),
                        "unknown metadata key \"casual\", allowed are causal, window_left, window_right, scale, softcap, activation,"
                                + " combination, pre, norm_eps, round_before_gate"),
                Arguments.of(
                        valid().metadata("causal", "True"), "metadata causal is \"True\", allowed are false, true"),
                Arguments.of(
                        valid().metadata("activation", "gelu"),
                        "metadata activation is \"gelu\", allowed are sigmoid, silu, identity, ns_sigmoid, two_sigmoid, softplus,"
                                + " tanh"),
                Arguments.of(
                        valid().metadata("combination", "mul"),
                        "metadata combination is \"mul\", allowed are multiply, add"),
                Arguments.of(
                        valid().metadata("pre", "layer_norm"),
                        "metadata pre is \"layer_norm\", allowed are none, rms_norm, silu"),
                Arguments.of(
                        valid().metadata("round_before_gate", "1"),
                        "metadata round_before_gate is \"1\", allowed are false, true"),
                Arguments.of(
                        valid().metadata("window_left", "-2"),
                        "metadata window_left is \"-2\", an integer of keys from 0 to 2^63-1 is expected, or -1 for no limit"),
                Arguments.of(
                        valid().metadata("window_right", "9223372036854775808"),
                        "metadata window_right is \"9223372036854775808\", an integer of keys from 0 to 2^63-1 is expected, or -1 for"
                                + " no limit"),
                Arguments.of(
                        valid().metadata("scale", "NaN"),
                        "metadata scale is \"NaN\", a finite decimal number is expected"),
                Arguments.of(
                        valid().metadata("scale", "1e999"),
                        "metadata scale is \"1e999\", a finite decimal number is expected"),
                Arguments.of(
                        valid().metadata("scale", "0x1p3"),
                        "metadata scale is \"0x1p3\", a finite decimal number is expected"),
                Arguments.of(
                        valid().metadata("scale", ""), "metadata scale is \"\", a finite decimal number is expected"),
                Arguments.of(
                        valid().metadata("softcap", "-30"),
                        "metadata softcap is -30.0, a number of at least 0 is expected"),
                Arguments.of(
                        valid().metadata("softcap", "inf"),
                        "metadata softcap is \"inf\", a finite decimal number is expected"),
                Arguments.of(
                        valid().metadata("norm_eps", "-1"),
                        "metadata norm_eps is -1.0, a number of at least 0 is expected"),
                Arguments.of(
                        valid().with("mask", DataType.F32, 1),
                        "unknown tensor \"mask\", allowed are q, k, v, k_scale, v_scale, gate, norm_weight, sink, dout, query_lengths, key_lengths,"
                                + " key_starts, cu_seqlens_q, cu_seqlens_k, block_table"),
                Arguments.of(valid().without("k"), "tensor \"k\" is missing; q, k and v are required"),
                Arguments.of(
                        valid().with("q", DataType.F32, 2, 3, 64),
                        "q is [2, 3, 64], which has 3 axes, it must have 4: [B, Sq, Hq, D]"),
                Arguments.of(
                        valid().with("q", SafetensorsType.F64, new byte[2 * 3 * 4 * 16 * 8], 2, 3, 4, 16),
                        "q is F64, it must be F32, BF16 or F16"),
                Arguments.of(
                        valid().with("k", DataType.BF16, 2, 5, 2, 16), "v is F32, it must be of the type of k, BF16"),
                Arguments.of(
                        new CaseFile(DataType.BF16).with("k", DataType.F32, 2, 5, 2, 16),
                        "k is F32, with q of BF16 it must be BF16 or I8"),
                Arguments.of(
                        valid().with("k", SafetensorsType.I32, new byte[2 * 5 * 2 * 16 * 4], 2, 5, 2, 16),
                        "k is I32, with q of F32 it must be F32, BF16, F16 or I8"),
                Arguments.of(
                        valid().with("k", DataType.F32, 2, 5, 2, 24),
                        "k is [2, 5, 2, 24], it must be [2, 5, 2, 16] to fit the shape of q"),
                Arguments.of(
                        valid().with("v", DataType.F32, 2, 6, 2, 8),
                        "v is [2, 6, 2, 8], it must be [2, 5, 2, 8] to fit the shapes of q and k"),
                Arguments.of(
                        valid().with("q", DataType.F32, 2, 3, 4, 12),
                        "q is [2, 3, 4, 12], whose head dimension (axis 3) is 12, it must be a multiple of 8 from 8 to 512"),
                Arguments.of(
                        valid().with("q", DataType.F32, 2, 3, 0, 16),
                        "q is [2, 3, 0, 16], which has 0 heads (axis 2), it must have 1 to 1048576"),
                Arguments.of(
                        valid().with("q", DataType.F32, 2, 3, 3, 16),
                        "q has 3 heads, which is no multiple of the 2 heads of k"),
                Arguments.of(
                        valid().with("gate", DataType.F32, 2, 3, 2, 8),
                        "gate is [2, 3, 2, 8], it must be [2, 3, 4, 8] or have 1 on some of these axes"),
                Arguments.of(
                        valid().with("gate", SafetensorsType.I32, new byte[4], 1, 1, 1, 1),
                        "gate is I32, it must be F32, BF16 or F16"),
                Arguments.of(
                        valid().with("sink", DataType.F32, 2),
                        "sink is [2], it must be [4] or have 1 on some of these axes"),
                Arguments.of(
                        valid().with("sink", SafetensorsType.I32, new byte[16], 4),
                        "sink is I32, it must be F32, BF16 or F16"),
                Arguments.of(
                        valid().metadata("pre", "rms_norm").with("norm_weight", DataType.F32, 2, 8),
                        "norm_weight is [2, 8], it must be [4, 8] or have 1 on some of these axes"),
                Arguments.of(
                        valid().with("norm_weight", DataType.F32, 4, 8),
                        "tensor norm_weight is given, but metadata pre is not rms_norm"));
    }

    private static CaseFile whole() {
        return valid().withWholeNumbers();
    }

    static Stream<Arguments> wrongWholeNumbers() {
        return Stream.of(
                Arguments.of(
                        whole().without("k_scale"),
                        "tensor \"k_scale\" is missing; where k and v are I8 they need scales"),
                Arguments.of(
                        whole().without("v_scale"),
                        "tensor \"v_scale\" is missing; where k and v are I8 they need scales"),
                Arguments.of(
                        valid().with("v_scale", DataType.F32, 2, 5, 2),
                        "tensor v_scale is given, but k is F32; only I8 keys and values have scales"),
                Arguments.of(whole().with("v", DataType.F32, 2, 5, 2, 8), "v is F32, it must be of the type of k, I8"),
                Arguments.of(whole().with("k_scale", DataType.F16, 2, 5, 2), "k_scale is F16, it must be F32"),
                Arguments.of(
                        whole().with("k_scale", DataType.F32, 2, 5, 2, 1),
                        "k_scale is [2, 5, 2, 1], it must be [2, 5, 2] to fit the shape of k"),
                Arguments.of(
                        whole().with("v_scale", DataType.F32, 2, 5, 4),
                        "v_scale is [2, 5, 4], it must be [2, 5, 2] to fit the shape of k"),
                Arguments.of(
                        whole().with("q", SafetensorsType.I8, new byte[2 * 3 * 4 * 16], 2, 3, 4, 16),
                        "q is I8, it must be F32, BF16 or F16"),
                Arguments.of(
                        whole().with("gate", SafetensorsType.I8, new byte[2 * 3 * 4 * 8], 2, 3, 4, 8),
                        "gate is I8, it must be F32, BF16 or F16"));
    }

    private static CaseFile merge() {
        return CaseFile.merge(DataType.F32);
    }

    static Stream<Arguments> wrongMerges() {
        return Stream.of(
                Arguments.of(
                        merge().without("partial_out"),
                        "tensor \"partial_out\" is missing; a merge needs partial_out and partial_lse"),
                Arguments.of(
                        merge().without("partial_lse"),
                        "tensor \"partial_lse\" is missing; a merge needs partial_out and partial_lse"),
                Arguments.of(
                        merge().with("q", DataType.F32, 2, 3, 4, 16),
                        "tensor \"q\" has no place in a merge, allowed are partial_out, partial_lse, gate, norm_weight, sink"),
                Arguments.of(
                        merge().with("partial_out", DataType.F32, 2, 3, 4, 8),
                        "partial_out is [2, 3, 4, 8], which has 4 axes, it must have 5: [N, B, Sq, Hq, Dv]"),
                Arguments.of(
                        merge().with("partial_out", SafetensorsType.I8, new byte[3 * 2 * 3 * 4 * 8], 3, 2, 3, 4, 8),
                        "partial_out is I8, it must be F32, BF16 or F16"),
                Arguments.of(
                        merge().with("partial_out", DataType.F32, 0, 2, 3, 4, 8),
                        "partial_out is [0, 2, 3, 4, 8], which has no partial result (axis 0), at least 1 is needed"),
                Arguments.of(
                        merge().with("partial_out", DataType.F32, 3, 2, 3, 0, 8),
                        "partial_out is [3, 2, 3, 0, 8], which has 0 heads (axis 3), it must have 1 to 1048576"),
                Arguments.of(
                        merge().with("partial_out", DataType.F32, 3, 2, 3, 4, 9),
                        "partial_out is [3, 2, 3, 4, 9], whose head dimension (axis 4) is 9, it must be a multiple of 8 from"
                                + " 8 to 512"),
                Arguments.of(
                        merge().with("partial_lse", DataType.BF16, 3, 2, 4, 3), "partial_lse is BF16, it must be F32"),
                Arguments.of(
                        merge().with("partial_lse", DataType.F32, 3, 2, 12),
                        "partial_lse is [3, 2, 12], which has 3 axes, it must have 4: [N, B, Hq, Sq]"),
                Arguments.of(
                        merge().with("partial_lse", DataType.F32, 2, 2, 4, 3),
                        "partial_lse is [2, 2, 4, 3], it must be [3, 2, 4, 3] to fit the shape of partial_out"),
                Arguments.of(
                        merge().with("gate", DataType.F32, 2, 3, 2, 8),
                        "gate is [2, 3, 2, 8], it must be [2, 3, 4, 8] or have 1 on some of these axes"),
                Arguments.of(
                        merge().with("norm_weight", DataType.F32, 4, 8),
                        "tensor norm_weight is given, but metadata pre is not rms_norm"),
                Arguments.of(
                        merge().with("sink", DataType.F32, 3),
                        "sink is [3], it must be [4] or have 1 on some of these axes"),
                Arguments.of(
                        merge().metadata("causal", "true"),
                        "unknown metadata key \"causal\" of a merge, allowed are type, activation, combination, pre, norm_eps,"
                                + " round_before_gate"),
                Arguments.of(merge().metadata("type", "i8"), "metadata type is \"i8\", allowed are f32, bf16, f16"),
                Arguments.of(
                        valid().metadata("type", "f32"),
                        "unknown metadata key \"type\", allowed are causal, window_left, window_right, scale, softcap, activation,"
                                + " combination, pre, norm_eps, round_before_gate"));
    }

    static Stream<Arguments> wrongGradients() {
        return Stream.of(
                Arguments.of(
                        valid().with("dout", DataType.F32, 2, 3, 4, 16),
                        "dout is [2, 3, 4, 16], it must be [2, 3, 4, 8] to fit the shapes of q and v"),
                Arguments.of(
                        valid().with("dout", DataType.F32, 2, 3, 1, 8),
                        "dout is [2, 3, 1, 8], it must be [2, 3, 4, 8] to fit the shapes of q and v"),
                Arguments.of(
                        valid().with("dout", DataType.BF16, 2, 3, 4, 8),
                        "dout is BF16, it must be of the type of q, F32"),
                Arguments.of(
                        whole().with("dout", DataType.F32, 2, 3, 4, 8),
                        "tensor dout is given and k is I8, only keys of the type of q, F32, have gradients"),
                Arguments.of(
                        valid().with("dout", DataType.F32, 2, 3, 4, 8).metadata("round_before_gate", "true"),
                        "tensor dout is given and metadata round_before_gate is true, rounding has no gradient"),
                Arguments.of(
                        valid().with("k", DataType.BF16, 2, 5, 2, 16)
                                .with("v", DataType.BF16, 2, 5, 2, 8)
                                .with("dout", DataType.F32, 2, 3, 4, 8),
                        "tensor dout is given and k is BF16, only keys of the type of q, F32, have gradients"),
                Arguments.of(
                        valid().with("k", SafetensorsType.I8, new byte[2 * 5 * 2 * 16], 2, 5, 2, 16)
                                .with("v", SafetensorsType.I8, new byte[2 * 5 * 2 * 8], 2, 5, 2, 8)
                                .with("k_scale", DataType.F32, 2, 5, 2)
                                .with("v_scale", DataType.F32, 2, 5, 2)
                                .with("dout", DataType.F32, 2, 3, 4, 8),
                        "tensor dout is given and k is I8, only keys of the type of q, F32, have gradients"),
                Arguments.of(
                        packed().without("cu_seqlens_k")
                                .with("k", DataType.F32, 2, 5, 2, 16)
                                .with("v", DataType.F32, 2, 5, 2, 8)
                                .with("key_lengths", new int[] {5, 5}, 2)
                                .with("block_table", new int[] {0, 1}, 2, 1)
                                .with("dout", DataType.F32, 1, 6, 4, 8),
                        "tensors dout and block_table are both given, paged keys have no gradients"),
                Arguments.of(
                        valid().with("dout", DataType.F32, 2, 3, 4, 8).with("key_lengths", new int[] {5, 6}, 2),
                        "key_lengths[1] is 6, but must be 0 to 5, the keys of k"));
    }

    private static CaseFile packed() {
        return valid().with("q", DataType.F32, 1, 6, 4, 16)
                .with("k", DataType.F32, 1, 10, 2, 16)
                .with("v", DataType.F32, 1, 10, 2, 8)
                .with("gate", DataType.F32, 1, 6, 4, 8)
                .with("cu_seqlens_q", new int[] {0, 3, 6}, 3)
                .with("cu_seqlens_k", new int[] {0, 5, 10}, 3);
    }

    static Stream<Arguments> wrongSequences() {
        return Stream.of(
                Arguments.of(valid().with("key_lengths", DataType.F32, 2), "key_lengths is F32, it must be I32"),
                Arguments.of(
                        valid().with("key_lengths", new int[] {1, 2, 3}, 3),
                        "key_lengths is [3], it must be [2] to fit the sequences"),
                Arguments.of(
                        valid().with("query_lengths", new int[] {1, 2}, 2, 1),
                        "query_lengths is [2, 1], which has 2 axes, it must have 1"),
                Arguments.of(
                        valid().with("key_lengths", new int[] {5, 6}, 2),
                        "key_lengths[1] is 6, but must be 0 to 5, the keys of k"),
                Arguments.of(
                        valid().with("query_lengths", new int[] {-1, 3}, 2),
                        "query_lengths[0] is -1, but must be 0 to 3, the queries of q"),
                Arguments.of(
                        valid().with("key_starts", new int[] {0, 6}, 2),
                        "key_starts[1] is 6, but must be 0 to 5, the keys of the sequence"),
                Arguments.of(
                        packed().with("query_lengths", new int[] {3, 3}, 2),
                        "tensors cu_seqlens_q and query_lengths are both given, only one of them can say where the"
                                + " sequences are"),
                Arguments.of(
                        packed().with("block_table", new int[] {0, 0}, 2, 1),
                        "tensors cu_seqlens_k and block_table are both given, only one of them can say where the"
                                + " sequences are"),
                Arguments.of(
                        valid().with("cu_seqlens_q", new int[] {0, 3, 6}, 3),
                        "q is [2, 3, 4, 16], with cu_seqlens_q its first axis must be 1"),
                Arguments.of(
                        packed().with("cu_seqlens_q", new int[] {}, 0),
                        "cu_seqlens_q is [0], it must have 1 element more than there are sequences"),
                Arguments.of(
                        packed().with("cu_seqlens_k", new int[] {0, 10}, 2),
                        "cu_seqlens_k is [2], it must be [3] to fit the sequences"),
                Arguments.of(
                        packed().with("cu_seqlens_q", new int[] {0, 3, 7}, 3),
                        "cu_seqlens_q[2] is 7, but must be 6, the queries of q"),
                Arguments.of(
                        packed().with("cu_seqlens_k", new int[] {0, 11, 10}, 3),
                        "cu_seqlens_k[2] is 10, but must be at least the 11 before it"),
                Arguments.of(
                        packed().without("cu_seqlens_k"),
                        "k is [1, 10, 2, 16], it must be [2, 10, 2, 16] to fit the shape of q"),
                Arguments.of(
                        valid().with("block_table", new int[] {0, 1, 0}, 1, 3),
                        "block_table is [1, 3], it must be [2, pages per sequence] to fit the sequences"),
                Arguments.of(
                        valid().with("block_table", new int[] {0, 1, 1, 2}, 2, 2),
                        "block_table[1][1] is 2, but k has 2 pages, counted from 0"));
    }

    @ParameterizedTest
    @MethodSource({"wrongCases", "wrongSequences", "wrongWholeNumbers", "wrongMerges", "wrongGradients"})
    void aWrongCaseStopsEverything(CaseFile wrong, String sentence) throws IOException {
        Path good = valid().write(directory.resolve("good.safetensors"));
        Path bad = wrong.write(directory.resolve("bad.safetensors"));
        Path results = directory.resolve("results");
        Outcome.of("replay", "--out", results, good, bad).refused(bad + ": " + sentence);
        assertThat(results).doesNotExist();
    }

    @Test
    void aFileThatIsNoSafetensors() throws IOException {
        Path pointer = Files.writeString(
                directory.resolve("case.safetensors"),
                "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n",
                UTF_8);
        Outcome.of("replay", "--out", directory.resolve("results"), pointer)
                .refused(pointer + ": is a Git LFS pointer, not the file itself; fetch it with: git lfs pull");
        Path missing = directory.resolve("missing.safetensors");
        Outcome.of("replay", "--out", directory.resolve("results"), missing).refused(missing + ": does not exist");
        Outcome.of("replay", "--out", directory.resolve("results"), directory)
                .refused(directory + ": is a directory, a safetensors file is expected");
    }

    @Test
    void casesOfOneName() throws IOException {
        Path one = valid().write(directory.resolve("x.safetensors"));
        Path two = valid().write(Files.createDirectory(directory.resolve("sub")).resolve("x.safetensors"));
        Path results = directory.resolve("results");
        Outcome.of("replay", "--out", results, one, two)
                .refused(two + ": has the same name as " + one + ", both results would be x.safetensors");
        Outcome.of("replay", "--out", results, one, one)
                .refused(one + ": has the same name as " + one + ", both results would be x.safetensors");
        assertThat(results).doesNotExist();
    }

    @Test
    void aResultNeverReplacesACase() throws IOException {
        Path file = valid().write(directory.resolve("x.safetensors"));
        byte[] before = Files.readAllBytes(file);
        Outcome.of("replay", "--out", directory, file)
                .refused(file + ": would be overwritten by the result " + file + ", give --out another directory");
        assertThat(file).hasBinaryContent(before);
    }

    @Test
    void wrongOptions() throws IOException {
        Path file = valid().write(directory.resolve("x.safetensors"));
        Path results = directory.resolve("results");
        Outcome.of("replay", file).refused("Missing required option: '--out=DIR' (see ga replay --help)");
        Outcome.of("replay", "--out", results).refused("Missing required parameter: 'CASE' (see ga replay --help)");
        Outcome.of("replay", "--backend", "cuda", "--out", results, file)
                .refused("--backend is \"cuda\", allowed are cpu, java");
        Outcome.of("replay", "--threads", "0", "--out", results, file).refused("--threads is 0, it must be 1 to 1024");
        Outcome.of("replay", "--threads", "two", "--out", results, file)
                .refused("Invalid value for option '--threads': 'two' is not an int (see ga replay --help)");
        Outcome.of("replay", "--max-isa", "sse", "--out", results, file)
                .refused("--max-isa is \"sse\", allowed are scalar, neon, avx2, avx512, avx512_bf16, amx_bf16");
        Outcome.of("replay", "--out", file, file).refused("--out " + file + " cannot be made: it is no directory");
        Outcome.of("replay", "--out", results, "a\0b").refused("case \"a?b\" is no path: Nul character not allowed");
        assertThat(results).doesNotExist();
    }
}
