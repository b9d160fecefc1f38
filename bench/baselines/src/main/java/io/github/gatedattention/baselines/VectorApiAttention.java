package io.github.gatedattention.baselines;

/**
 * Gated attention as fast as Java's Vector API makes it: f32, any vector width, no allocation once warm.
 *
 * <p>The methods below it are small on purpose: one large method with the same code boxed its vectors, with right
 * results and hundreds of megabytes per call. C2 needs about 20 calls until all of them are compiled.
 */
public final class VectorApiAttention implements FloatAttention {
    private static final int ROW_MULTIPLE = 16;

    private final AttentionShape shape;
    private final WorkerPool pool;
    private final VectorPrefill prefill; // one of the two is null
    private final VectorDecode decode;

    /**
     * Starts the threads and allocates the scratch memory.
     *
     * @param shape the shape of every call; its {@code headDim} is a multiple of 16
     * @param threads how many threads compute, the caller's included
     */
    public VectorApiAttention(AttentionShape shape, int threads) {
        if (shape.headDim() % ROW_MULTIPLE != 0) {
            throw new IllegalArgumentException(
                    "headDim is " + shape.headDim() + "; it must be a multiple of " + ROW_MULTIPLE);
        }
        this.shape = shape;
        pool = new WorkerPool(threads);
        boolean oneQuery = shape.queryLength() == 1;
        prefill = oneQuery ? null : new VectorPrefill(shape, pool);
        decode = oneQuery ? new VectorDecode(shape, pool) : null;
    }

    /** {@return the floats per vector on this machine} */
    public static int vectorLength() {
        return VectorMath.LANES;
    }

    @Override
    public AttentionShape shape() {
        return shape;
    }

    @Override
    public void forward(float[] q, float[] k, float[] v, float[] gate, float[] out) {
        FloatAttention.requireSizes(shape, q, k, v, gate, out);
        if (decode != null) {
            decode.forward(q, k, v, gate, out);
        } else {
            prefill.forward(q, k, v, gate, out);
        }
    }

    @Override
    public void close() {
        pool.close();
    }
}
