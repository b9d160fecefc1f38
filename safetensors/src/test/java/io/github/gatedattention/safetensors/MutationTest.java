package io.github.gatedattention.safetensors;

import static org.assertj.core.api.Assertions.assertThat;

import java.io.IOException;
import java.lang.foreign.Arena;
import java.lang.foreign.ValueLayout;
import java.math.BigInteger;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.List;
import java.util.Random;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

/**
 * Valid files with one thing broken. Random bytes never get past the header's length; a file that is right but for one field gets to
 * every check there is.
 */
class MutationTest {
    private static final int CASES = 6000;
    private static final long SEED = Long.getLong("gatedattention.seed", 20_261_123L);
    private static final List<BigInteger> NUMBERS = List.of(
            BigInteger.ZERO,
            BigInteger.ONE,
            BigInteger.TWO.pow(31),
            BigInteger.TWO.pow(32),
            BigInteger.TWO.pow(53).add(BigInteger.ONE),
            BigInteger.TWO.pow(61),
            BigInteger.TWO.pow(63).subtract(BigInteger.ONE),
            BigInteger.TWO.pow(63),
            BigInteger.TWO.pow(64),
            BigInteger.TWO.pow(64).add(BigInteger.ONE),
            BigInteger.TEN.pow(30));

    @TempDir
    Path directory;

    /** The reader accepts a broken description exactly when the rules, told a second time, do; and then returns the right bytes. */
    @Test
    void oneFieldBroken() throws IOException {
        System.out.println("MutationTest.oneFieldBroken: seed " + SEED);
        var random = new Random(SEED);
        int accepted = 0;
        for (int i = 0; i < CASES; i++) {
            FileModel model = FileModel.random(random);
            breakOne(model, random);
            String context = "seed " + SEED + ", case " + i + ", " + model.header() + ", " + model.data.length
                    + " bytes of data";
            Path file = Files.write(directory.resolve("case"), model.bytes());
            try (Arena arena = Arena.ofConfined()) {
                SafetensorsFile read = SafetensorsFile.read(file, arena);
                assertThat(model.isValid()).as("accepted, " + context).isTrue();
                assertContent(model, read, context);
                accepted++;
            } catch (SafetensorsException e) {
                assertThat(model.isValid())
                        .as("%s, %s", e.getMessage(), context)
                        .isFalse();
            }
        }
        assertThat(accepted).as("mutations that happen to be valid").isBetween(CASES / 50, CASES / 2);
    }

    private static void assertContent(FileModel model, SafetensorsFile read, String context) {
        assertThat(read.tensors()).as(context).hasSize(model.entries.size());
        for (FileModel.Entry entry : model.entries) {
            SafetensorsTensor tensor = read.tensors().get(entry.name);
            assertThat(tensor).as(context).isNotNull();
            assertThat(tensor.dtype().name()).as(context).isEqualTo(entry.type);
            assertThat(tensor.shape())
                    .as(context)
                    .isEqualTo(entry.shape.stream()
                            .mapToLong(BigInteger::longValueExact)
                            .toArray());
            assertThat(tensor.data().toArray(ValueLayout.JAVA_BYTE))
                    .as(context)
                    .isEqualTo(Arrays.copyOfRange(model.data, entry.begin.intValueExact(), entry.end.intValueExact()));
        }
    }

    private static void breakOne(FileModel model, Random random) {
        if (model.entries.isEmpty()) {
            model.data = new byte[random.nextInt(3)];
            return;
        }
        FileModel.Entry entry = model.entries.get(random.nextInt(model.entries.size()));
        FileModel.Entry other = model.entries.get(random.nextInt(model.entries.size()));
        SafetensorsType[] types = SafetensorsType.values();
        switch (random.nextInt(12)) {
            case 0 -> entry.type = types[random.nextInt(types.length)].name();
            case 1 -> entry.type = entry.type.substring(1);
            case 2 -> entry.begin = number(entry.begin, random);
            case 3 -> entry.end = number(entry.end, random);
            case 4 -> {
                BigInteger shift = number(BigInteger.ZERO, random);
                entry.begin = entry.begin.add(shift);
                entry.end = entry.end.add(shift);
            }
            case 5 -> entry.shape.add(random.nextInt(entry.shape.size() + 1), number(BigInteger.ONE, random));
            case 6 -> {
                if (!entry.shape.isEmpty()) {
                    int axis = random.nextInt(entry.shape.size());
                    entry.shape.set(axis, number(entry.shape.get(axis), random));
                }
            }
            case 7 -> {
                while (entry.shape.size() < 8 + random.nextInt(2)) {
                    entry.shape.add(BigInteger.ONE);
                }
            }
            case 8 -> entry.name = other.name;
            case 9 -> {
                BigInteger begin = entry.begin;
                BigInteger end = entry.end;
                entry.begin = other.begin;
                entry.end = other.end;
                other.begin = begin;
                other.end = end;
            }
            case 10 -> model.data = Arrays.copyOf(model.data, Math.max(0, model.data.length + random.nextInt(5) - 2));
            default -> model.entries.remove(entry);
        }
    }

    private static BigInteger number(BigInteger old, Random random) {
        return switch (random.nextInt(4)) {
            case 0 -> old.add(BigInteger.ONE);
            case 1 -> old.subtract(BigInteger.ONE);
            case 2 -> old.negate();
            default -> NUMBERS.get(random.nextInt(NUMBERS.size()));
        };
    }

    /** A few bytes of the file changed, dropped or doubled: refused, or every byte of the data handed out exactly once. */
    @Test
    void bytesBroken() throws IOException {
        System.out.println("MutationTest.bytesBroken: seed " + SEED);
        var random = new Random(SEED);
        for (int i = 0; i < CASES; i++) {
            byte[] valid = FileModel.random(random).bytes();
            byte[] broken = breakBytes(valid, random);
            Path file = Files.write(directory.resolve("case"), broken);
            try (Arena arena = Arena.ofConfined()) {
                SafetensorsFile read = SafetensorsFile.read(file, arena);
                long bytes = read.tensors().values().stream()
                        .mapToLong(tensor -> tensor.data().byteSize())
                        .sum();
                long header =
                        ByteBuffer.wrap(broken).order(ByteOrder.LITTLE_ENDIAN).getLong();
                assertThat(8 + header + bytes).as("seed %d, case %d", SEED, i).isEqualTo(broken.length);
            } catch (SafetensorsException e) {
                assertThat(e.problem())
                        .as("seed %d, case %d", SEED, i)
                        .isNotBlank()
                        .doesNotContainPattern("\\R");
            }
        }
    }

    private static byte[] breakBytes(byte[] valid, Random random) {
        byte[] broken = valid.clone();
        int header = valid[0] & 0xff | (valid[1] & 0xff) << 8;
        int at = 8 + random.nextInt(header);
        switch (random.nextInt(5)) {
            case 0 -> broken[at] ^= (byte) (1 << random.nextInt(8));
            case 1 -> broken[at] = (byte) "{}[]\",:0-e\\ ".charAt(random.nextInt(12));
            case 2 -> broken[random.nextInt(8)] += (byte) (1 + random.nextInt(255));
            case 3 -> broken = Arrays.copyOf(broken, random.nextInt(broken.length));
            default -> {
                // One byte of the header doubled, the length told rightly.
                broken = new byte[valid.length + 1];
                System.arraycopy(valid, 0, broken, 0, at);
                System.arraycopy(valid, at, broken, at + 1, valid.length - at);
                broken[at] = valid[at];
                broken[0] = (byte) (header + 1);
                broken[1] = (byte) ((header + 1) >> 8);
            }
        }
        return broken;
    }
}
