package io.github.gatedattention.golden;

import io.github.gatedattention.reference.DoubleTensor;
import io.github.gatedattention.safetensors.SafetensorsFile;
import io.github.gatedattention.safetensors.SafetensorsTensor;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.URISyntaxException;
import java.nio.file.Path;
import java.util.HashMap;
import java.util.Map;

/** The tensors of a reference file, widened to float64. */
final class GoldenFile {
    private record Content(double[] values, int[] shape) {}

    private final String name;
    private final Map<String, Content> tensors = new HashMap<>();

    GoldenFile(String name) {
        this.name = name;
        try (Arena arena = Arena.ofConfined()) {
            SafetensorsFile.read(path(name), arena)
                    .tensors()
                    .forEach((key, tensor) -> tensors.put(key, content(tensor)));
        } catch (Exception e) {
            throw new IllegalStateException("cannot read golden/" + name, e);
        }
    }

    static Path path(String name) {
        try {
            return Path.of(GoldenFile.class.getResource("/golden/" + name).toURI());
        } catch (URISyntaxException e) {
            throw new IllegalStateException(e);
        }
    }

    private static Content content(SafetensorsTensor tensor) {
        long[] longs = tensor.shape();
        int[] shape = new int[longs.length];
        int count = 1;
        for (int axis = 0; axis < shape.length; axis++) {
            shape[axis] = Math.toIntExact(longs[axis]);
            count *= shape[axis];
        }
        double[] values = new double[count];
        MemorySegment data = tensor.data();
        for (int n = 0; n < count; n++) {
            values[n] = switch (tensor.dtype()) {
                case F64 -> data.getAtIndex(ValueLayout.JAVA_DOUBLE, n);
                case F32 -> data.getAtIndex(ValueLayout.JAVA_FLOAT, n);
                case I64 -> data.getAtIndex(ValueLayout.JAVA_LONG, n);
                case U8 -> data.get(ValueLayout.JAVA_BYTE, n);
                default -> throw new IllegalStateException("unexpected " + tensor);
            };
        }
        return new Content(values, shape);
    }

    boolean has(String key) {
        return tensors.containsKey(key);
    }

    double[] values(String key) {
        return get(key).values.clone();
    }

    int[] shape(String key) {
        return get(key).shape.clone();
    }

    /** With leading axes of 1 up to rank 4. */
    DoubleTensor tensor(String key) {
        int[] shape = {1, 1, 1, 1};
        int[] own = shape(key);
        System.arraycopy(own, 0, shape, 4 - own.length, own.length);
        return new DoubleTensor(values(key), shape);
    }

    private Content get(String key) {
        Content content = tensors.get(key);
        if (content == null) {
            throw new IllegalArgumentException("golden/" + name + " has no tensor " + key);
        }
        return content;
    }

    @Override
    public String toString() {
        return name;
    }
}
