package io.github.gatedattention;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What a layer does to its projections before attention, in one pass over them: gates on query, key and value (the paper's G2 to
 * G4), RMSNorm of queries and keys, RoPE, and the way into a cache. Each is optional; all are float, with one rounding at the end.
 *
 * <p>The projections may be whole tensors or strided views, of packed ones too: the scores of the attention's own gate stay where the
 * projection left them.
 *
 * {@snippet file="io/github/gatedattention/examples/ExamplesTest.java" region="prologue"}
 *
 * <p>All methods are safe from any thread; a call allocates nothing once warm on the {@code cpu} backend. Results do not depend on the
 * number of threads. Wrong arguments throw {@link IllegalArgumentException} before anything is written.
 *
 * @see AttentionEpilogue what may follow the output projection
 */
public final class AttentionPrologue implements AutoCloseable {
    private final PrologueSettings settings;
    private final PrologueEngine engine;
    private final SlotPool<CacheSlots> slots = new SlotPool<>(CacheSlots::new);
    private volatile boolean closed;

    private AttentionPrologue(PrologueSettings settings, Backend backend) {
        this.settings = settings;
        this.engine = backend.open(settings);
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
     * Prepares queries, keys and values. Writes the outs and nothing else.
     *
     * @param operands the tensors
     * @throws IllegalArgumentException when a tensor does not fit the settings or another tensor, or a position is out of range
     * @throws IllegalStateException when this instance or the arena of a tensor is closed
     * @throws WrongThreadException when the arena of a tensor is confined to another thread
     * @throws GatedAttentionException when native code fails
     */
    public void run(PrologueOperands operands) {
        Objects.requireNonNull(operands, "operands is null");
        checkOpen();
        PrologueCheck.forward(settings, operands, false);
        engine.run(operands, null);
    }

    /**
     * Prepares queries, keys and values, and puts keys and values at the ends of sequences of a cache, of all or of none: its tokens
     * stand where their sequence has grown to.
     *
     * @param operands the tensors, of as many sequences as there are ids, k and v among them; their outs are not touched, and neither
     *     positions nor a first position is given
     * @param cache the cache, of this prologue's data type, heads and dimensions
     * @param ids the sequences, each once
     * @throws IllegalArgumentException when a tensor does not fit, a sequence is unknown or comes twice, or a position is one that
     *     the rope was not built for
     * @throws CacheFullException when the cache has no room for all
     * @throws IllegalStateException when this instance, the cache or the arena of a tensor is closed
     * @throws WrongThreadException when the arena of a tensor is confined to another thread
     * @throws GatedAttentionException when native code fails
     */
    public void run(PrologueOperands operands, KvCache cache, long... ids) {
        Objects.requireNonNull(operands, "operands is null");
        Objects.requireNonNull(cache, "cache is null");
        Objects.requireNonNull(ids, "ids is null");
        checkOpen();
        PrologueCheck.cached(settings, operands, cache, ids);
        CacheSlots own = slots.take();
        try {
            own.prepare(engine, operands, settings.table());
            cache.append(ids, Math.toIntExact(operands.any().dim(1)), own);
        } finally {
            own.forget();
            slots.giveBack(own);
        }
    }

    /**
     * Turns gradients of the outs into those of the ins, of gates and of norm weights. Writes those that are wanted, and nothing else.
     *
     * @param operands the tensors of the forward call; {@code in} as it was before it, so it cannot have been in place. The outs are
     *     not touched
     * @param gradients one for each projection that the operands have
     * @throws IllegalArgumentException when a tensor does not fit the settings or another tensor, or a position is out of range
     * @throws IllegalStateException when this instance or the arena of a tensor is closed
     * @throws WrongThreadException when the arena of a tensor is confined to another thread
     * @throws GatedAttentionException when native code fails
     */
    public void backward(PrologueOperands operands, PrologueGradients gradients) {
        Objects.requireNonNull(operands, "operands is null");
        Objects.requireNonNull(gradients, "gradients is null");
        checkOpen();
        PrologueCheck.backward(settings, operands, gradients);
        engine.backward(operands, gradients);
    }

    private void checkOpen() {
        if (closed) {
            throw PrologueEngine.closed();
        }
    }

    /**
     * Refuses later calls with {@link IllegalStateException}; calls in progress in other threads finish. Closing again does nothing.
     */
    @Override
    public void close() {
        closed = true;
        engine.close();
    }

    /** The settings of an {@link AttentionPrologue}. {@link #queryHeads} and {@link #headDim} have no default. */
    public static final class Builder {
        private static final int MOST_POSITIONS = 1 << 26;

        private int queryHeads;
        private int keyValueHeads;
        private boolean keyValueHeadsGiven;
        private int headDim;
        private int valueHeadDim;
        private boolean valueHeadDimGiven;
        private DataType dataType = DataType.F32;
        private boolean norm;
        private float normEps;
        private boolean plusOne;
        private @Nullable Rope rope;
        private int positions;
        private final @Nullable Activation[] gates = new @Nullable Activation[PrologueCheck.PARTS];
        private @Nullable Backend backend;
        private int threads;
        private boolean threadsGiven;
        private @Nullable InstructionSet maxInstructionSet;

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
         * Sets the head dimension of values, Dv. The default is {@link #headDim}.
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
         * Sets the type of ins and outs. The default is {@link DataType#F32}.
         *
         * @param type F32, BF16 or F16
         * @return this
         */
        public Builder dataType(DataType type) {
            dataType = Objects.requireNonNull(type, "dataType is null");
            return this;
        }

        /**
         * Normalizes queries and keys per head: {@code x / sqrt(mean(x^2) + eps) * weight}. The default is no norm.
         *
         * @param eps finite, at least 0
         * @return this
         */
        public Builder norm(float eps) {
            norm = true;
            normEps = eps;
            plusOne = false;
            return this;
        }

        /**
         * Normalizes queries and keys per head by weights that are centered at zero: {@code x / sqrt(mean(x^2) + eps) * (1 + weight)}.
         *
         * @param eps finite, at least 0
         * @return this
         */
        public Builder zeroCenteredNorm(float eps) {
            norm(eps);
            plusOne = true;
            return this;
        }

        /**
         * Turns queries and keys by their positions, after the norm. The default is no rope. The cosines and sines of all positions are
         * computed once, when the instance is built: {@code 4 * dim} bytes per position.
         *
         * @param newRope how
         * @param newPositions the positions 0 to {@code newPositions - 1} can be asked for; 1 to 2^26
         * @return this
         */
        public Builder rope(Rope newRope, int newPositions) {
            rope = Objects.requireNonNull(newRope, "rope is null");
            positions = newPositions;
            return this;
        }

        /**
         * Multiplies queries by a gate, before the norm: G4. The default is no gate.
         *
         * @param activation the gate's function
         * @return this
         */
        public Builder queryGate(Activation activation) {
            gates[0] = Objects.requireNonNull(activation, "activation is null");
            return this;
        }

        /**
         * Multiplies keys by a gate, before the norm: G3. The default is no gate.
         *
         * @param activation the gate's function
         * @return this
         */
        public Builder keyGate(Activation activation) {
            gates[1] = Objects.requireNonNull(activation, "activation is null");
            return this;
        }

        /**
         * Multiplies values by a gate: G2. The default is no gate.
         *
         * @param activation the gate's function
         * @return this
         */
        public Builder valueGate(Activation activation) {
            gates[2] = Objects.requireNonNull(activation, "activation is null");
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
         * Sets how many threads a call may use, the caller's included. The default is {@link Runtime#availableProcessors()}.
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
         * Caps the instruction set of native kernels. The default is no cap.
         *
         * @param cap the best instruction set allowed
         * @return this
         */
        public Builder maxInstructionSet(InstructionSet cap) {
            maxInstructionSet = Objects.requireNonNull(cap, "maxInstructionSet is null");
            return this;
        }

        /**
         * Checks the settings, computes the rope's angles, and makes the instance.
         *
         * @return an instance to be closed by the caller
         * @throws IllegalArgumentException when a value is outside its range or two values do not fit each other
         * @throws GatedAttentionException when the backend is not available or its threads cannot be had
         */
        public AttentionPrologue build() {
            int kvHeads = keyValueHeadsGiven ? keyValueHeads : queryHeads;
            int valueDim = valueHeadDimGiven ? valueHeadDim : headDim;
            BuilderCheck.heads(queryHeads, kvHeads);
            BuilderCheck.dims(headDim, valueDim);
            BuilderCheck.floating(dataType);
            if (norm && !(normEps >= 0 && normEps < Float.POSITIVE_INFINITY)) {
                throw new IllegalArgumentException("eps is " + normEps + ", but must be finite and at least 0");
            }
            if (rope != null && rope.dim() > headDim) {
                throw new IllegalArgumentException(
                        "rope turns " + rope.dim() + " elements of a head, but headDim is " + headDim);
            }
            if (rope != null && (positions < 1 || positions > MOST_POSITIONS)) {
                throw new IllegalArgumentException(
                        "positions is " + positions + ", but must be 1 to " + MOST_POSITIONS);
            }
            int workers = BuilderCheck.workers(threadsGiven, threads);
            Backend chosen = BuilderCheck.available(backend);
            PrologueSettings settings = new PrologueSettings(
                    queryHeads,
                    kvHeads,
                    headDim,
                    valueDim,
                    dataType,
                    norm,
                    normEps,
                    plusOne,
                    rope,
                    rope == null ? null : new RopeTable(rope, positions),
                    gates.clone(),
                    workers,
                    maxInstructionSet);
            return new AttentionPrologue(settings, chosen);
        }
    }
}
