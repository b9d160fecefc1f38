package io.github.gatedattention;

import java.lang.foreign.Arena;
import java.util.Objects;
import java.util.concurrent.Executor;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.RejectedExecutionException;
import org.jspecify.annotations.Nullable;

/**
 * Gated scaled dot-product attention, forward and backward: {@code O = gate(softmax(scale * Q K^T + mask) V, G)}, the operator of
 * <a href="https://arxiv.org/abs/2505.06708">arXiv 2505.06708</a>.
 *
 * <p>An instance holds the settings that stay the same from call to call, usually those of one layer. Instances with
 * the same number of threads share them. All methods are safe from any thread, virtual ones included; a call keeps the
 * carrier of a virtual thread for as long as it runs, unless an {@linkplain Builder#executor executor} makes it.
 *
 * <p>Calls that end well are events of JDK Flight Recorder while it records them, named {@code
 * io.github.gatedattention.Forward}: about 3 µs and 0.9 KB per call, and nothing while it does not.
 *
 * <p>Wrong arguments throw {@link IllegalArgumentException} before anything is written, naming the argument and both
 * values.
 *
 * <p>One step of decoding on a cache, prepared once:
 *
 * {@snippet file="io/github/gatedattention/examples/ExamplesTest.java" region="decode"}
 *
 * @see Operands the shapes of all tensors
 */
public final class GatedAttention implements AutoCloseable {
    private final Settings settings;
    private final Backend backend;
    private final Engine engine;
    private final Calls calls;

    private GatedAttention(Settings settings, Backend backend, @Nullable Executor executor) {
        this.settings = settings;
        this.backend = backend;
        this.engine = backend.open(settings);
        this.calls = new Calls(settings, backend.name(), engine, executor);
    }

    /**
     * Starts the settings of a new instance.
     *
     * @return a builder with the defaults of its methods
     */
    public static Builder builder() {
        return new Builder();
    }

    /**
     * Computes attention. Writes {@code out} and nothing else, and allocates nothing on the {@code cpu} backend, unless
     * the call is recorded or handed to the {@linkplain Builder#executor executor}.
     *
     * @param q queries {@code [B, Sq, Hq, D]}
     * @param k keys {@code [B, Sk, Hkv, D]}
     * @param v values {@code [B, Sk, Hkv, Dv]}
     * @param gate scores {@code [B, Sq, Hq, Dv]} or {@code [B, Sq, Hq, 1]}, or null for {@link Gate#none()}
     * @param out the result {@code [B, Sq, Hq, Dv]}; may be exactly q or exactly gate
     * @throws IllegalArgumentException when a tensor does not fit the settings or another tensor
     * @throws IllegalStateException when this instance or the arena of a tensor is closed
     * @throws WrongThreadException when the arena of a tensor is confined to another thread
     * @throws GatedAttentionException when native code fails
     * @throws RejectedExecutionException when the {@linkplain Builder#executor executor} refuses the call
     */
    public void forward(Tensor q, Tensor k, Tensor v, @Nullable Tensor gate, Tensor out) {
        Objects.requireNonNull(q, "q is null");
        Objects.requireNonNull(k, "k is null");
        Objects.requireNonNull(v, "v is null");
        Objects.requireNonNull(out, "out is null");
        if (calls.areDirect()) {
            engine.forward(q, k, v, gate, out, null, null, null, null, null);
        } else {
            calls.forward(Operands.of(q, k, v, gate, out));
        }
    }

    /**
     * Computes attention with optional operands. Writes {@code out} and {@code lse}.
     *
     * @param operands the tensors
     * @throws IllegalArgumentException when a tensor does not fit the settings or another tensor, or a length or page
     *     of a sequence is out of range
     * @throws IllegalStateException when this instance or the arena of a tensor is closed
     * @throws WrongThreadException when the arena of a tensor is confined to another thread
     * @throws GatedAttentionException when native code fails
     * @throws RejectedExecutionException when the {@linkplain Builder#executor executor} refuses the call
     */
    public void forward(Operands operands) {
        Objects.requireNonNull(operands, "operands is null");
        if (calls.areDirect()) {
            engine.forward(operands);
        } else {
            calls.forward(operands);
        }
    }

    /**
     * Checks operands once, for calls that are repeated with the same tensors.
     *
     * @param operands the tensors
     * @return a call to run any number of times until this instance is closed
     * @throws IllegalArgumentException when a tensor does not fit the settings or another tensor
     * @throws IllegalStateException when this instance is closed
     * @throws GatedAttentionException when native code refuses the call
     */
    public PreparedForward prepare(Operands operands) {
        return calls.prepare(Objects.requireNonNull(operands, "operands is null"));
    }

    /**
     * Merges partial results of attention over disjoint sets of keys, as made on parts of a cache or on several machines,
     * into the result over all keys; then come the step on Y and the gate. The mask, the scale and the softcap are those of the
     * partial results: they have acted. Writes {@code out} and {@code lse}, and allocates nothing once warm on the {@code cpu}
     * backend.
     *
     * {@snippet file="io/github/gatedattention/examples/ExamplesTest.java" region="merge"}
     *
     * @param operands the tensors
     * @throws IllegalArgumentException when a tensor does not fit the settings or another tensor
     * @throws IllegalStateException when this instance or the arena of a tensor is closed
     * @throws WrongThreadException when the arena of a tensor is confined to another thread
     * @throws GatedAttentionException when native code fails
     */
    public void merge(MergeOperands operands) {
        engine.merge(Objects.requireNonNull(operands, "operands is null"));
    }

    /**
     * Computes the gradients of a forward call's inputs from that of its result. Writes the gradients asked for and nothing else,
     * and allocates nothing once warm on the {@code cpu} backend, unless handed to the {@linkplain Builder#executor executor}.
     *
     * {@snippet file="io/github/gatedattention/examples/ExamplesTest.java" region="backward"}
     *
     * <p>A query that sees no key has a gradient of 0 and adds nothing to those of keys and values, whatever it holds. Rows of
     * padding have gradients of 0. Gradients are sums in 32-bit or better, rounded once to the type of the tensor that receives them; they have the same
     * bits for any number of threads.
     *
     * @param operands the tensors
     * @throws IllegalArgumentException when a tensor does not fit the settings or another tensor, or a length of a sequence is out
     *     of range
     * @throws UnsupportedOperationException when the keys are paged or of another type than the queries, the gate rounds first,
     *     or the backend is a CUDA device
     * @throws IllegalStateException when this instance or the arena of a tensor is closed
     * @throws WrongThreadException when the arena of a tensor is confined to another thread
     * @throws GatedAttentionException when native code fails
     * @throws RejectedExecutionException when the {@linkplain Builder#executor executor} refuses the call
     */
    public void backward(BackwardOperands operands) {
        calls.backward(Objects.requireNonNull(operands, "operands is null"));
    }

    /**
     * Measures where a forward call's attention went, from the log-sum-exps that it wrote: no matrix of probabilities is made, at
     * any length. Reads {@code q}, {@code k} with its scales, {@code lse} and the sequences, and writes nothing.
     *
     * {@snippet file="io/github/gatedattention/examples/ExamplesTest.java" region="measure"}
     *
     * @param operands the tensors of the forward call, as it was given them; {@code out} must not be exactly q
     * @param probe what is wanted
     * @return the measurements, the same bits for any number of threads
     * @throws IllegalArgumentException when a tensor does not fit, or {@code lse} is null
     * @throws UnsupportedOperationException when the backend is a CUDA device
     * @throws IllegalStateException when this instance or the arena of a tensor is closed
     * @throws WrongThreadException when the arena of a tensor is confined to another thread
     * @throws GatedAttentionException when native code fails
     */
    public AttentionStatistics measure(Operands operands, AttentionProbe probe) {
        Objects.requireNonNull(operands, "operands is null");
        return engine.measure(operands, Objects.requireNonNull(probe, "probe is null"));
    }

    /**
     * Counts values: of a gate from its scores, of outputs, of hidden activations.
     *
     * @param values {@code [B, S, H, D]}, {@code [B, S, D]}, {@code [S, D]} or {@code [D]}, F32, BF16 or F16; the last axis
     *     contiguous or shared
     * @param probe what is wanted
     * @return the statistics, the same bits for any number of threads
     * @throws IllegalArgumentException when values has another shape or type
     * @throws IllegalStateException when this instance or the arena of values is closed
     * @throws WrongThreadException when the arena of values is confined to another thread
     * @throws GatedAttentionException when native code fails
     */
    public ValueStatistics measure(Tensor values, ValueProbe probe) {
        Objects.requireNonNull(values, "values is null");
        return engine.measure(values, Objects.requireNonNull(probe, "probe is null"));
    }

    /**
     * Says what a call with contiguous values, gate and output would do; computes nothing.
     *
     * @param q queries {@code [B, Sq, Hq, D]}
     * @param k keys {@code [B, Sk, Hkv, D]}
     * @return kernel, blocks, work and scratch memory; {@link Plan#toString} says them in one line
     * @throws IllegalArgumentException when a tensor does not fit the settings or the other
     * @throws IllegalStateException when this instance is closed
     */
    public Plan explain(Tensor q, Tensor k) {
        Objects.requireNonNull(q, "q is null");
        Objects.requireNonNull(k, "k is null");
        return engine.explain(PlannedOperands.of(settings, q, k));
    }

    /**
     * Says what a call would do; computes nothing.
     *
     * @param operands the tensors
     * @return kernel, blocks, work and scratch memory; {@link Plan#toString} says them in one line
     * @throws IllegalArgumentException when a tensor does not fit the settings or another tensor, or a length or page
     *     of a sequence is out of range
     * @throws IllegalStateException when this instance is closed
     */
    public Plan explain(Operands operands) {
        return engine.explain(Objects.requireNonNull(operands, "operands is null"));
    }

    /**
     * Says what a backward call would do; computes nothing.
     *
     * @param operands the tensors
     * @return kernel, blocks, work and scratch memory of the gradients asked for
     * @throws IllegalArgumentException when a tensor does not fit the settings or another tensor, or a length of a sequence is out
     *     of range
     * @throws UnsupportedOperationException when the keys are paged or of another type than the queries, the gate rounds first,
     *     or the backend is a CUDA device
     * @throws IllegalStateException when this instance is closed
     */
    public Plan explain(BackwardOperands operands) {
        return engine.explain(Objects.requireNonNull(operands, "operands is null"));
    }

    /**
     * Returns where this instance computes.
     *
     * @return the backend, never one that merely stands for another
     */
    public Backend backend() {
        return backend;
    }

    /**
     * Returns the instruction set of this instance's kernels.
     *
     * @return the best one that the machine has and the caps allow; {@link InstructionSet#SCALAR} for the Java backend
     */
    public InstructionSet instructionSet() {
        return engine.instructionSet();
    }

    /**
     * Returns how many threads a call may use, the caller's included.
     *
     * @return a number of threads
     */
    public int threads() {
        return settings.threads();
    }

    /**
     * Refuses later calls with {@link IllegalStateException}. Calls in progress in other threads finish; closing waits
     * for them when this is the last instance that uses its threads. Closing again does nothing.
     */
    @Override
    public void close() {
        engine.close();
    }

    @Override
    public String toString() {
        return "GatedAttention[" + backend + ", " + settings + "]";
    }

    /** The settings of a {@link GatedAttention}. {@link #queryHeads} and {@link #headDim} have no default. */
    public static final class Builder {
        private int queryHeads;
        private int keyValueHeads;
        private int headDim;
        private int valueHeadDim;
        private DataType dataType = DataType.F32;
        private Gate gate = Gate.elementwise(Activation.SIGMOID);
        private Mask mask = Mask.none();
        private float scale = Float.NaN;
        private boolean scaleGiven;
        private float softcap;
        private @Nullable Backend backend;
        private int threads;
        private boolean threadsGiven;
        private boolean keyValueHeadsGiven;
        private boolean valueHeadDimGiven;
        private @Nullable InstructionSet maxInstructionSet;
        private @Nullable Executor executor;
        private @Nullable CudaStream stream;

        private Builder() {}

        /**
         * Sets the number of query heads, Hq.
         *
         * @param heads at least 1
         * @return this
         */
        public Builder queryHeads(int heads) {
            queryHeads = heads;
            return this;
        }

        /**
         * Sets the number of key/value heads, Hkv. The default is {@link #queryHeads}.
         *
         * @param heads at least 1, a divisor of the query heads
         * @return this
         */
        public Builder keyValueHeads(int heads) {
            keyValueHeads = heads;
            keyValueHeadsGiven = true;
            return this;
        }

        /**
         * Sets the head dimension of queries and keys, D.
         *
         * @param dim a multiple of 8, 8 to 512
         * @return this
         */
        public Builder headDim(int dim) {
            headDim = dim;
            return this;
        }

        /**
         * Sets the head dimension of values and output, Dv. The default is {@link #headDim}.
         *
         * @param dim a multiple of 8, 8 to 512
         * @return this
         */
        public Builder valueHeadDim(int dim) {
            valueHeadDim = dim;
            valueHeadDimGiven = true;
            return this;
        }

        /**
         * Sets the type of q and out; k and v may have others, see {@link Operands}. The default is {@link DataType#F32}.
         *
         * @param type F32, BF16 or F16
         * @return this
         */
        public Builder dataType(DataType type) {
            dataType = Objects.requireNonNull(type, "dataType is null");
            return this;
        }

        /**
         * Sets the gate. The default is {@code Gate.elementwise(Activation.SIGMOID)}.
         *
         * @param newGate the gate, or {@link Gate#none()}
         * @return this
         */
        public Builder gate(Gate newGate) {
            gate = Objects.requireNonNull(newGate, "gate is null");
            return this;
        }

        /**
         * Sets which keys a query sees. The default is {@link Mask#none()}.
         *
         * @param newMask the mask
         * @return this
         */
        public Builder mask(Mask newMask) {
            mask = Objects.requireNonNull(newMask, "mask is null");
            return this;
        }

        /**
         * Sets the factor on the scores. The default is {@code 1 / sqrt(headDim)}.
         *
         * @param factor finite
         * @return this
         */
        public Builder scale(float factor) {
            scale = factor;
            scaleGiven = true;
            return this;
        }

        /**
         * Bounds the scores: {@code cap * tanh(scale * q . k / cap)} instead of {@code scale * q . k}, before the softmax
         * and without effect on a sink. The default is 0, no bound.
         *
         * @param cap finite and above 0, or 0 for none
         * @return this
         */
        public Builder softcap(float cap) {
            softcap = cap;
            return this;
        }

        /**
         * Sets where to compute. The default is {@link Backend#best()}.
         *
         * @param newBackend the backend
         * @return this
         */
        public Builder backend(Backend newBackend) {
            backend = Objects.requireNonNull(newBackend, "backend is null");
            return this;
        }

        /**
         * Sets how many threads a call may use, the caller's included. Results do not depend on it. The default is
         * {@link Runtime#availableProcessors()}.
         *
         * @param number 1 to 1024
         * @return this
         */
        public Builder threads(int number) {
            threads = number;
            threadsGiven = true;
            return this;
        }

        /**
         * Sets who makes the calls of virtual threads. A call keeps the thread it runs on until it ends; with an executor
         * of platform threads that is one of those, and the virtual thread waits without a carrier. Calls of platform
         * threads stay where they are, and so does everything but {@link GatedAttention#forward(Operands) forward},
         * {@link PreparedForward#run} and {@link GatedAttention#backward backward}. The default is no executor.
         *
         * <p>What a call throws, its caller gets. An interrupt neither ends the wait nor the call, so that memory is the
         * caller's again once the call returns; the thread's interrupt status is set then. Tensors of these calls must lie
         * in arenas that all threads may use, such as {@link Arena#ofShared()}, else they throw {@link
         * WrongThreadException}; such an arena can be closed while the call waits for a thread, which refuses the call.
         * When the executor refuses a call, or is an {@link ExecutorService} that ends before it begins it, the caller gets
         * {@link RejectedExecutionException}. Handing over costs ten to twenty microseconds and a few small objects.
         *
         * {@snippet file="io/github/gatedattention/examples/ExamplesTest.java" region="executor"}
         *
         * @param platformThreads runs each task it accepts, best on platform threads; stays the caller's, who shuts it down
         * @return this
         */
        public Builder executor(Executor platformThreads) {
            executor = Objects.requireNonNull(platformThreads, "executor is null");
            return this;
        }

        /**
         * Sets on which stream of a CUDA device calls are enqueued; they return before the work is done, which {@link
         * CudaStream#synchronize} waits for. The default is the device's default stream. The stream must stay open until this
         * instance is closed. Instances that differ in nothing but the stream are cheap: threads that each have a stream have an
         * instance each.
         *
         * @param newStream an open stream; where no backend is set, that of its device is
         * @return this
         */
        public Builder stream(CudaStream newStream) {
            stream = Objects.requireNonNull(newStream, "stream is null");
            return this;
        }

        /**
         * Caps the instruction set of native kernels, as {@code GA_MAX_ISA} in the environment does too. The default is
         * no cap.
         *
         * @param cap the best instruction set allowed
         * @return this
         */
        public Builder maxInstructionSet(InstructionSet cap) {
            maxInstructionSet = Objects.requireNonNull(cap, "maxInstructionSet is null");
            return this;
        }

        /**
         * Checks the settings and makes the instance.
         *
         * @return an instance to be closed by the caller
         * @throws IllegalArgumentException when a value is outside its range or two values do not fit each other
         * @throws GatedAttentionException when the backend is not available or its threads cannot be had
         */
        public GatedAttention build() {
            int kvHeads = keyValueHeadsGiven ? keyValueHeads : queryHeads;
            int valueDim = valueHeadDimGiven ? valueHeadDim : headDim;
            BuilderCheck.heads(queryHeads, kvHeads);
            BuilderCheck.dims(headDim, valueDim);
            BuilderCheck.floating(dataType);
            float factor = scaleGiven ? scale : (float) (1 / Math.sqrt(headDim));
            if (!Float.isFinite(factor)) {
                throw new IllegalArgumentException("scale is " + factor + ", but must be finite");
            }
            if (!(softcap >= 0) || softcap == Float.POSITIVE_INFINITY) {
                throw new IllegalArgumentException(
                        "softcap is " + softcap + ", but must be finite and above 0, or 0 for none");
            }
            int workers = BuilderCheck.workers(threadsGiven, threads);
            Backend chosen = BuilderCheck.available(backend != null || stream == null ? backend : stream.backend());
            if (stream != null && stream.backend() != chosen) {
                throw new IllegalArgumentException(
                        "stream is of " + stream.backend() + ", but the backend is " + chosen);
            }
            Settings settings = new Settings(
                    queryHeads,
                    kvHeads,
                    headDim,
                    valueDim,
                    dataType,
                    gate,
                    mask,
                    factor,
                    softcap,
                    workers,
                    maxInstructionSet,
                    chosen instanceof CudaBackend cuda ? cuda.device() : Place.HOST,
                    stream);
            return new GatedAttention(settings, chosen, executor);
        }
    }
}
