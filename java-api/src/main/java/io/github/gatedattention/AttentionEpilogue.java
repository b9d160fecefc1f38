package io.github.gatedattention;

import java.util.Objects;
import org.jspecify.annotations.Nullable;

/**
 * What may follow a layer's output projection, in one pass: a gate on its result (the paper's G5) and the residual stream. {@code out
 * = in * a(gate) + residual}, in float, with one rounding at the end.
 *
 * {@snippet file="io/github/gatedattention/examples/ExamplesTest.java" region="epilogue"}
 *
 * <p>All methods are safe from any thread; a call allocates nothing once warm on the {@code cpu} backend. Results do not depend on the
 * number of threads. Wrong arguments throw {@link IllegalArgumentException} before anything is written.
 *
 * @see AttentionPrologue
 */
public final class AttentionEpilogue implements AutoCloseable {
    private final EpilogueSettings settings;
    private final EpilogueEngine engine;

    private AttentionEpilogue(EpilogueSettings settings, Backend backend) {
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
     * Computes {@code out = in * a(gate) + residual}. Writes {@code out} and nothing else.
     *
     * @param in the output projection's result {@code [B, S, width]}
     * @param gate scores {@code [B, S, width]}, F32, BF16 or F16, any axis may have extent 1; null exactly when there is no gate
     * @param residual {@code [B, S, width]}, F32, BF16 or F16, or null for none
     * @param out {@code [B, S, width]}; may be exactly in, gate or residual
     * @throws IllegalArgumentException when a tensor does not fit the settings or another tensor
     * @throws IllegalStateException when this instance or the arena of a tensor is closed
     * @throws WrongThreadException when the arena of a tensor is confined to another thread
     * @throws GatedAttentionException when native code fails
     */
    public void run(Tensor in, @Nullable Tensor gate, @Nullable Tensor residual, Tensor out) {
        Objects.requireNonNull(in, "in is null");
        Objects.requireNonNull(out, "out is null");
        EpilogueCheck.forward(settings, in, gate, residual, out);
        engine.run(in, gate, residual, out);
    }

    /**
     * Turns the gradient of out, which is that of the residual too, into those of in and gate.
     *
     * @param in as the forward call read it
     * @param gate likewise
     * @param dOut the gradient of out {@code [B, S, width]}, of the data type
     * @param dIn receives the gradient of in, of the data type or F32; may be exactly dOut; null: not wanted
     * @param dGate receives the gradient of the gate's scores, of their shape, F32, BF16 or F16, summed up where they are shared;
     *     null: not wanted
     * @throws IllegalArgumentException when a tensor does not fit the settings or another tensor
     * @throws IllegalStateException when this instance or the arena of a tensor is closed
     * @throws WrongThreadException when the arena of a tensor is confined to another thread
     * @throws GatedAttentionException when native code fails
     */
    public void backward(Tensor in, @Nullable Tensor gate, Tensor dOut, @Nullable Tensor dIn, @Nullable Tensor dGate) {
        Objects.requireNonNull(in, "in is null");
        Objects.requireNonNull(dOut, "dOut is null");
        EpilogueCheck.backward(settings, in, gate, dOut, dIn, dGate);
        engine.backward(in, gate, dOut, dIn, dGate);
    }

    /**
     * Refuses later calls with {@link IllegalStateException}; calls in progress in other threads finish. Closing again does nothing.
     */
    @Override
    public void close() {
        engine.close();
    }

    /** The settings of an {@link AttentionEpilogue}. {@link #width} has no default. */
    public static final class Builder {
        private static final int MOST_WIDTH = 1 << 20;

        private int width;
        private DataType dataType = DataType.F32;
        private @Nullable Activation gate = Activation.SIGMOID;
        private @Nullable Backend backend;
        private int threads;
        private boolean threadsGiven;
        private @Nullable InstructionSet maxInstructionSet;

        private Builder() {}

        /**
         * Sets the width of the hidden states.
         *
         * @param elements a multiple of 8, 8 to 2^20
         * @return this
         */
        public Builder width(int elements) {
            width = elements;
            return this;
        }

        /**
         * Sets the type of in and out. The default is {@link DataType#F32}.
         *
         * @param type F32, BF16 or F16
         * @return this
         */
        public Builder dataType(DataType type) {
            dataType = Objects.requireNonNull(type, "dataType is null");
            return this;
        }

        /**
         * Sets the gate's function. The default is {@link Activation#SIGMOID}.
         *
         * @param activation the function, or null for no gate
         * @return this
         */
        public Builder gate(@Nullable Activation activation) {
            gate = activation;
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
         * Checks the settings and makes the instance.
         *
         * @return an instance to be closed by the caller
         * @throws IllegalArgumentException when a value is outside its range
         * @throws GatedAttentionException when the backend is not available or its threads cannot be had
         */
        public AttentionEpilogue build() {
            if (width < 8 || width > MOST_WIDTH || width % 8 != 0) {
                throw new IllegalArgumentException(
                        "width is " + width + ", but must be a multiple of 8 from 8 to " + MOST_WIDTH);
            }
            BuilderCheck.floating(dataType);
            int workers = BuilderCheck.workers(threadsGiven, threads);
            Backend chosen = BuilderCheck.available(backend);
            return new AttentionEpilogue(
                    new EpilogueSettings(width, dataType, gate, workers, maxInstructionSet), chosen);
        }
    }
}
