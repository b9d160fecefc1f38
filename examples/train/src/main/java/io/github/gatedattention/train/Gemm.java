package io.github.gatedattention.train;

import static org.bytedeco.openblas.global.openblas_nolapack.CblasNoTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasRowMajor;
import static org.bytedeco.openblas.global.openblas_nolapack.CblasTrans;
import static org.bytedeco.openblas.global.openblas_nolapack.blas_set_num_threads;
import static org.bytedeco.openblas.global.openblas_nolapack.cblas_sgemm;

import io.github.gatedattention.Tensor;
import java.lang.foreign.MemorySegment;
import java.nio.ByteOrder;
import org.bytedeco.javacpp.FloatPointer;

/**
 * The three products of a linear layer {@code y = x Wᵀ}, by OpenBLAS on the tensors' own memory: x {@code [T, in]}, W {@code [out,
 * in]}, y {@code [T, out]}, all dense, leading axes joined.
 *
 * <p>Every product is cut into blocks of rows by its shape alone, and OpenBLAS gets one thread per block: so its sums do not depend on
 * the number of processors, and its threads do not wait for work beside those of the attention.
 */
final class Gemm {
    private static final int TOKENS = 256;
    private static final int WEIGHTS = 64;
    private static final long MOST_BUFFER = 1 << 30;

    static {
        blas_set_num_threads(1);
    }

    private Gemm() {}

    /** {@code y = x Wᵀ}, or {@code y += x Wᵀ}. */
    static void forward(Tensor x, Tensor weight, Tensor y, boolean add) {
        int in = columns(weight);
        int out = rows(weight);
        Parallel.run(
                rows(x, in),
                TOKENS,
                (block, from, to) -> cblas_sgemm(
                        CblasRowMajor,
                        CblasNoTrans,
                        CblasTrans,
                        to - from,
                        out,
                        in,
                        1,
                        at(x, (long) from * in),
                        in,
                        at(weight, 0),
                        in,
                        add ? 1 : 0,
                        at(y, (long) from * out),
                        out));
    }

    /** {@code dx = dy W}, or {@code dx += dy W}. */
    static void inputGradient(Tensor dy, Tensor weight, Tensor dx, boolean add) {
        int in = columns(weight);
        int out = rows(weight);
        Parallel.run(
                rows(dy, out),
                TOKENS,
                (block, from, to) -> cblas_sgemm(
                        CblasRowMajor,
                        CblasNoTrans,
                        CblasNoTrans,
                        to - from,
                        in,
                        out,
                        1,
                        at(dy, (long) from * out),
                        out,
                        at(weight, 0),
                        in,
                        add ? 1 : 0,
                        at(dx, (long) from * in),
                        in));
    }

    /** {@code dW = dyᵀ x}. */
    static void weightGradient(Tensor dy, Tensor x, Tensor dWeight) {
        int in = columns(dWeight);
        int out = rows(dWeight);
        int tokens = rows(x, in);
        Parallel.run(
                out,
                WEIGHTS,
                (block, from, to) -> cblas_sgemm(
                        CblasRowMajor,
                        CblasTrans,
                        CblasNoTrans,
                        to - from,
                        in,
                        tokens,
                        1,
                        at(dy, from),
                        out,
                        at(x, 0),
                        in,
                        0,
                        at(dWeight, (long) from * in),
                        in));
    }

    private static int rows(Tensor weight) {
        return Math.toIntExact(weight.dim(0));
    }

    private static int columns(Tensor weight) {
        return Math.toIntExact(weight.dim(1));
    }

    private static int rows(Tensor tokens, int columns) {
        return Math.toIntExact(tokens.segment().byteSize() / Float.BYTES / columns);
    }

    /** The tensor's memory from an element on, not a copy. A buffer ends after 1 GiB; its address serves for more. */
    private static FloatPointer at(Tensor tensor, long element) {
        long offset = element * Float.BYTES;
        MemorySegment segment = tensor.segment();
        return new FloatPointer(segment.asSlice(offset, Math.min(segment.byteSize() - offset, MOST_BUFFER))
                .asByteBuffer()
                .order(ByteOrder.nativeOrder())
                .asFloatBuffer());
    }
}
