package io.github.gatedattention.cli.replay;

import io.github.gatedattention.DataType;
import io.github.gatedattention.Tensor;
import io.github.gatedattention.safetensors.SafetensorsFile;
import io.github.gatedattention.safetensors.SafetensorsTensor;
import io.github.gatedattention.safetensors.SafetensorsType;
import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Random;

/** A case to be written: valid unless a test breaks it. B 2, Sq 3, Sk 5, Hq 4, Hkv 2, D 16, Dv 8. */
final class CaseFile {
    private final Map<String, SafetensorsTensor> tensors = new LinkedHashMap<>();
    private final Map<String, String> metadata = new LinkedHashMap<>();
    private final Random random = new Random(7);

    CaseFile(DataType type) {
        with("q", type, 2, 3, 4, 16)
                .with("k", type, 2, 5, 2, 16)
                .with("v", type, 2, 5, 2, 8)
                .with("gate", type, 2, 3, 4, 8);
    }

    /** Adds or replaces a tensor of random values. */
    CaseFile with(String name, DataType type, long... shape) {
        float[] values = new float[(int) Arrays.stream(shape).reduce(1, Math::multiplyExact)];
        for (int i = 0; i < values.length; i++) {
            values[i] = (float) random.nextGaussian();
        }
        try (Arena arena = Arena.ofConfined()) {
            MemorySegment bytes = Tensor.copyOf(arena, type, values, shape.length == 0 ? new long[] {1} : shape)
                    .segment();
            return with(
                    name,
                    SafetensorsType.valueOf(type.name()),
                    bytes.toArray(java.lang.foreign.ValueLayout.JAVA_BYTE),
                    shape);
        }
    }

    /** A merge of 3 partial results instead: B 2, Sq 3, Hq 4, Dv 8. */
    static CaseFile merge(DataType type) {
        return new CaseFile(type)
                .without("q")
                .without("k")
                .without("v")
                .with("partial_out", type, 3, 2, 3, 4, 8)
                .with("partial_lse", DataType.F32, 3, 2, 4, 3);
    }

    /** Whole numbers for keys and values, with their scales. */
    CaseFile withWholeNumbers() {
        return bytes("k", 2, 5, 2, 16)
                .bytes("v", 2, 5, 2, 8)
                .with("k_scale", DataType.F32, 2, 5, 2)
                .with("v_scale", DataType.F32, 2, 5, 2);
    }

    private CaseFile bytes(String name, long... shape) {
        byte[] values = new byte[(int) Arrays.stream(shape).reduce(1, Math::multiplyExact)];
        random.nextBytes(values);
        return with(name, SafetensorsType.I8, values, shape);
    }

    /** Adds or replaces a tensor of any type. */
    CaseFile with(String name, SafetensorsType type, byte[] bytes, long... shape) {
        tensors.put(name, new SafetensorsTensor(name, type, shape, MemorySegment.ofArray(bytes)));
        return this;
    }

    /** Adds or replaces a tensor of integers. */
    CaseFile with(String name, int[] values, long... shape) {
        ByteBuffer bytes = ByteBuffer.allocate(values.length * Integer.BYTES).order(ByteOrder.LITTLE_ENDIAN);
        bytes.asIntBuffer().put(values);
        return with(name, SafetensorsType.I32, bytes.array(), shape);
    }

    CaseFile without(String name) {
        tensors.remove(name);
        return this;
    }

    CaseFile metadata(String... keysAndValues) {
        for (int i = 0; i < keysAndValues.length; i += 2) {
            metadata.put(keysAndValues[i], keysAndValues[i + 1]);
        }
        return this;
    }

    Path write(Path file) throws IOException {
        SafetensorsFile.write(file, tensors, metadata);
        return file;
    }
}
