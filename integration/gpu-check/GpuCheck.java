import io.github.gatedattention.Backend;
import io.github.gatedattention.CudaMemory;
import io.github.gatedattention.CudaStream;
import io.github.gatedattention.DataType;
import io.github.gatedattention.GatedAttention;
import io.github.gatedattention.Mask;
import io.github.gatedattention.Operands;
import io.github.gatedattention.PreparedForward;
import io.github.gatedattention.Tensor;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.lang.foreign.Arena;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import java.util.Arrays;
import java.util.Locale;
import java.util.Random;

/**
 * The Java part of ./ga gpu-check: the public API on a GPU beside the CPU, and what a call costs the thread that makes it. Each finding
 * goes to the file that the argument names, as a line of JSON; the exit status is 0 when all held.
 */
public final class GpuCheck {
    private static final int QUERY_HEADS = 8;
    private static final int KEY_VALUE_HEADS = 2;
    private static final int HEAD_DIM = 128;
    /** Relative L2 distance between two results that were each rounded to bf16: 2^-9 / sqrt(3) each, and the kernels' own. */
    private static final double LIMIT = 5e-3;

    private final Path records;
    private boolean held = true;

    private GpuCheck(Path records) {
        this.records = records;
    }

    public static void main(String[] arguments) {
        if (arguments.length != 1) {
            System.err.println("usage: GpuCheck RECORDS");
            System.exit(2);
        }
        GpuCheck check = new GpuCheck(Path.of(arguments[0]));
        Backend gpu = Backend.cuda(0);
        if (!gpu.isAvailable()) {
            check.report("device", false, String.valueOf(gpu.unavailableReason()));
            System.exit(1);
        }
        check.report("device", true, gpu.name() + ", Java " + Runtime.version());
        check.compare(gpu, "forward", 2, 300, 300);
        check.compare(gpu, "decode", 3, 1, 2000);
        check.timeCalls(gpu);
        check.refuse(gpu);
        System.exit(check.held ? 0 : 1);
    }

    private void report(String name, boolean holds, String text) {
        held &= holds;
        String shown = (holds ? "" : "FAILED: ") + text;
        System.out.println("  java, " + name + ": " + shown);
        String quoted = shown.replace("\\", "\\\\").replace("\"", "\\\"").replace("\n", " ");
        String line = "{\"stage\": \"java\", \"check\": \"" + name + "\", \"held\": " + holds + ", \"text\": \"" + quoted + "\"}\n";
        try {
            Files.writeString(records, line, StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    private static GatedAttention.Builder builder() {
        return GatedAttention.builder()
                .queryHeads(QUERY_HEADS)
                .keyValueHeads(KEY_VALUE_HEADS)
                .headDim(HEAD_DIM)
                .dataType(DataType.BF16)
                .mask(Mask.causal());
    }

    private static Tensor random(Arena arena, long seed, long... shape) {
        Random random = new Random(seed);
        float[] values = new float[(int) Arrays.stream(shape).reduce(1, (a, b) -> a * b)];
        for (int n = 0; n < values.length; n++) {
            values[n] = (float) random.nextGaussian();
        }
        return Tensor.copyOf(arena, DataType.BF16, values, shape);
    }

    private static Tensor upload(CudaStream stream, CudaMemory memory, Tensor host) {
        Tensor there = memory.allocate(host.dataType(), host.shape());
        stream.copy(host, there);
        return there;
    }

    /** The same call on the CPU and on the GPU, there twice. */
    private void compare(Backend gpu, String name, long batch, long queries, long keys) {
        try (Arena arena = Arena.ofShared();
                CudaMemory memory = CudaMemory.open(gpu);
                CudaStream stream = CudaStream.open(gpu);
                GatedAttention here = builder().backend(Backend.cpu()).build();
                GatedAttention there = builder().stream(stream).build()) {
            Tensor q = random(arena, 1, batch, queries, QUERY_HEADS, HEAD_DIM);
            Tensor k = random(arena, 2, batch, keys, KEY_VALUE_HEADS, HEAD_DIM);
            Tensor v = random(arena, 3, batch, keys, KEY_VALUE_HEADS, HEAD_DIM);
            Tensor gate = random(arena, 4, q.shape());
            Tensor expected = Tensor.allocate(arena, DataType.BF16, q.shape());
            here.forward(q, k, v, gate, expected);

            Tensor q2 = upload(stream, memory, q);
            Tensor k2 = upload(stream, memory, k);
            Tensor v2 = upload(stream, memory, v);
            Tensor gate2 = upload(stream, memory, gate);
            Tensor out = memory.allocate(DataType.BF16, q.shape());
            float[][] results = new float[2][];
            for (int n = 0; n < 2; n++) {
                Tensor result = memory.allocatePinned(DataType.BF16, q.shape());
                there.forward(q2, k2, v2, gate2, out);
                stream.copy(out, result);
                stream.synchronize();
                results[n] = result.toFloatArray();
            }
            double distance = distance(results[0], expected.toFloatArray());
            boolean same = Arrays.equals(results[0], results[1]);
            String kernel = there.explain(Operands.of(q2, k2, v2, gate2, out)).kernel();
            String text = String.format(
                    Locale.ROOT,
                    "%s, relative L2 distance from the CPU %.1e of at most %.0e, %s when run again",
                    kernel,
                    distance,
                    LIMIT,
                    same ? "the same bits" : "other bits");
            report(name, same && distance <= LIMIT, text);
        } catch (RuntimeException e) {
            report(name, false, e.toString());
        }
    }

    /** What enqueueing costs the calling thread: a small call, so that the device is never what is waited for. */
    private void timeCalls(Backend gpu) {
        try (CudaMemory memory = CudaMemory.open(gpu);
                CudaStream stream = CudaStream.open(gpu);
                GatedAttention attention = builder().stream(stream).build()) {
            Tensor q = memory.allocate(DataType.BF16, 1, 1, QUERY_HEADS, HEAD_DIM);
            Tensor k = memory.allocate(DataType.BF16, 1, 16, KEY_VALUE_HEADS, HEAD_DIM);
            Tensor out = memory.allocate(DataType.BF16, q.shape());
            PreparedForward prepared = attention.prepare(Operands.of(q, k, k, q, out));
            double given = microsecondsPerCall(stream, () -> attention.forward(q, k, k, q, out));
            double ahead = microsecondsPerCall(stream, prepared::run);
            report(
                    "calls",
                    true,
                    String.format(
                            Locale.ROOT, "forward returns after %.2f us, a prepared call after %.2f us", given, ahead));
        } catch (RuntimeException e) {
            report("calls", false, e.toString());
        }
    }

    /** Median over bursts that are shorter than a stream's queue is long. */
    private static double microsecondsPerCall(CudaStream stream, Runnable call) {
        int burst = 100;
        double[] times = new double[60];
        for (int n = 0; n < times.length; n++) {
            stream.synchronize();
            long start = System.nanoTime();
            for (int i = 0; i < burst; i++) {
                call.run();
            }
            times[n] = (System.nanoTime() - start) * 1e-3 / burst;
        }
        stream.synchronize();
        double[] warm = Arrays.copyOfRange(times, times.length / 2, times.length);
        Arrays.sort(warm);
        return warm[warm.length / 2];
    }

    /** Memory of the host is refused by name and memory of the device cannot be read. */
    private void refuse(Backend gpu) {
        try (Arena arena = Arena.ofShared();
                CudaMemory memory = CudaMemory.open(gpu);
                GatedAttention attention = builder().backend(gpu).build()) {
            Tensor there = memory.allocate(DataType.BF16, 1, 1, QUERY_HEADS, HEAD_DIM);
            Tensor keys = memory.allocate(DataType.BF16, 1, 4, KEY_VALUE_HEADS, HEAD_DIM);
            Tensor here = Tensor.allocate(arena, DataType.BF16, there.shape());
            String first = refusal(() -> attention.forward(here, keys, keys, there, there), IllegalArgumentException.class);
            String second = refusal(there::toFloatArray, UnsupportedOperationException.class);
            report("refusals", first != null && first.contains("q") && second != null, first + "; " + second);
        } catch (RuntimeException e) {
            report("refusals", false, e.toString());
        }
    }

    /** Its message; null where the action was not refused so. */
    private static String refusal(Runnable action, Class<? extends RuntimeException> type) {
        try {
            action.run();
            return null;
        } catch (RuntimeException e) {
            return type.isInstance(e) ? String.valueOf(e.getMessage()) : null;
        }
    }

    private static double distance(float[] result, float[] expected) {
        double difference = 0;
        double size = 0;
        for (int n = 0; n < expected.length; n++) {
            difference += Math.pow((double) result[n] - expected[n], 2);
            size += Math.pow(expected[n], 2);
        }
        return Math.sqrt(difference / size);
    }
}
