package io.github.gatedattention.safetensors;

import java.nio.charset.StandardCharsets;
import java.util.Optional;

/** Recognizes what people pass by mistake, from a file's first bytes. Asked only once the file cannot be safetensors. */
final class ForeignFormat {
    static final int SAMPLE_BYTES = 64;

    private ForeignFormat() {}

    /** The problem to report: what the file is, or {@code otherwise} when it is nothing known. */
    static String recognize(byte[] start, String otherwise) {
        return kind(start).orElse(otherwise);
    }

    private static Optional<String> kind(byte[] start) {
        String text = new String(start, StandardCharsets.ISO_8859_1);
        if (text.startsWith("version https://git-lfs")) {
            return Optional.of("is a Git LFS pointer, not the file itself; fetch it with: git lfs pull");
        }
        if (text.startsWith("PK\3\4")) {
            return Optional.of(
                    "is a ZIP archive, as torch.save writes (pickle inside); pickle is refused because it can run code,"
                            + " save the tensors as safetensors");
        }
        if (start.length >= 2 && start[0] == (byte) 0x80 && start[1] >= 2 && start[1] <= 5) {
            return Optional.of(
                    "is a Python pickle; pickle is refused because it can run code, save the tensors as safetensors");
        }
        if (text.startsWith("GGUF")) {
            return Optional.of("is a GGUF file, not safetensors");
        }
        if (text.startsWith("\u0089HDF\r\n")) {
            return Optional.of("is an HDF5 file, not safetensors");
        }
        if (text.startsWith("\u0093NUMPY")) {
            return Optional.of("is a NumPy file, not safetensors");
        }
        if (text.stripLeading().startsWith("<")) {
            return Optional.of("is an HTML or XML text, perhaps the error page of a download, not safetensors");
        }
        if (text.stripLeading().startsWith("{")) {
            return Optional.of("is a JSON text, not safetensors; its first 8 bytes must be the header's length");
        }
        return Optional.empty();
    }
}
