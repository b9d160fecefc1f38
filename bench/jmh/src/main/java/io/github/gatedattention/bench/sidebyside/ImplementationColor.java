package io.github.gatedattention.bench.sidebyside;

import io.github.gatedattention.bench.peers.Implementation;
import java.awt.Color;

/** Whose line or bar it is. */
final class ImplementationColor {
    private ImplementationColor() {}

    /** The same color for an implementation in every picture: teal for this library. */
    static Color of(Implementation implementation) {
        return new Color(
                switch (implementation) {
                    case GATED_ATTENTION_BF16 -> 0x0b4f59;
                    case GATED_ATTENTION_F32, PREPARED_F32, BARE_F32 -> 0x1f9aa8;
                    case VECTOR_API_F32 -> 0x7a5195;
                    case ONNX_RUNTIME_F32 -> 0xd9822b;
                    case ONNX_ATTENTION_F32 -> 0xe9b872;
                    case PYTORCH_F32 -> 0xc8433f;
                    case PYTORCH_BF16 -> 0xe08e8b;
                    case DJL_F32 -> 0x6b8e23;
                    case ND4J_F32 -> 0x4a6fa5;
                    case PLAIN_JAVA_F32 -> 0x8a9aa5;
                    // In no picture yet.
                    case GATED_ATTENTION_F16, PACKED_BF16, PACKED_F32 -> 0x15707c;
                    case INT8_BF16, PAGED_BF16, PAGED_INT8_BF16 -> 0x5fb8a5;
                });
    }
}
