package io.github.gatedattention.bench.peers;

import io.github.gatedattention.bench.Inputs;
import io.github.gatedattention.bench.Precision;
import java.util.Arrays;
import java.util.List;

/** One implementation, ready to compute one workload forward and backward, over and over with the same operands. */
public interface Trainer extends AutoCloseable {
    /** Computes gated attention and the gradients of q, k, v and gate once; the only thing that is timed. */
    void step();

    /** {@return copies of the last gradients, of q [B, Sq, Hq, D], k, v [B, Sk, Hkv, D] and gate [B, Sq, Hq, D or 1]} */
    List<float[]> gradients();

    @Override
    void close();

    /** Who can train; an implementation without gradients cannot. */
    enum Kind {
        /** This library, bf16. */
        GATED_ATTENTION_BF16(Implementation.GATED_ATTENTION_BF16, "out and log-sum-exp are kept, nothing else"),
        /** This library, f32. */
        GATED_ATTENTION_F32(Implementation.GATED_ATTENTION_F32, "out and log-sum-exp are kept, nothing else"),
        /** PyTorch, f32. */
        PYTORCH_F32(Implementation.PYTORCH_F32, PyTorchTrainer.TUNING),
        /** PyTorch, bf16. */
        PYTORCH_BF16(Implementation.PYTORCH_BF16, PyTorchTrainer.TUNING);

        private final Implementation implementation;
        private final String tuning;

        Kind(Implementation implementation, String tuning) {
            this.implementation = implementation;
            this.tuning = tuning;
        }

        /**
         * {@return the implementation as a trainer}
         *
         * @param implementation one of those that {@link #implementation} gives
         */
        public static Kind of(Implementation implementation) {
            return Arrays.stream(values())
                    .filter(kind -> kind.implementation == implementation)
                    .findFirst()
                    .orElseThrow(() -> new UnsupportedOperationException(implementation + " has no gradients"));
        }

        /** {@return the same implementation, forward} */
        public Implementation implementation() {
            return implementation;
        }

        /** {@return the type of its operands} */
        public Precision precision() {
            return implementation.precision();
        }

        /** {@return how its steps were set up to be fast, in words} */
        public String tuning() {
            return tuning;
        }

        /**
         * {@return the implementation, ready to run}
         *
         * @param inputs the operands
         * @param dOut the gradient of the result, [B, Sq, Hq, D]
         * @param threads how many threads it may use
         */
        public Trainer create(Inputs inputs, float[] dOut, int threads) {
            return implementation.isLibrary()
                    ? new LibraryTrainer(inputs, dOut, threads)
                    : new PyTorchTrainer(inputs, dOut, threads);
        }
    }
}
