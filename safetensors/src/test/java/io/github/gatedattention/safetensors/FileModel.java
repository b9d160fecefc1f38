package io.github.gatedattention.safetensors;

import static java.nio.charset.StandardCharsets.UTF_8;

import java.math.BigInteger;
import java.util.ArrayList;
import java.util.Collections;
import java.util.Comparator;
import java.util.List;
import java.util.Random;
import java.util.stream.Collectors;

/** A file as a list of tensors whose fields can be broken one by one, and the format's rules told a second time, in BigInteger. */
final class FileModel {
    static final BigInteger MAX_SIZE = BigInteger.TWO.pow(63).subtract(BigInteger.ONE);

    /** A tensor of the header; numbers of any size. */
    static final class Entry {
        String name;
        String type;
        List<BigInteger> shape;
        BigInteger begin;
        BigInteger end;

        String json(String space) {
            return String.format(
                    "\"%s\":%s{\"dtype\":\"%s\",%s\"data_offsets\":[%s,%s]%s,\"shape\":%s}",
                    name, space, type, space, begin, end, space, shape);
        }

        boolean isValid() {
            SafetensorsType known;
            try {
                known = SafetensorsType.valueOf(type);
            } catch (IllegalArgumentException e) {
                return false;
            }
            BigInteger bits = BigInteger.valueOf(known.bits());
            BigInteger unit = known.bits() < 8 ? bits : bits.shiftRight(3);
            BigInteger nonZero = shape.stream().filter(d -> d.signum() != 0).reduce(unit, BigInteger::multiply);
            BigInteger all = shape.stream().reduce(bits, BigInteger::multiply);
            return shape.size() <= 8
                    && shape.stream().allMatch(d -> d.signum() >= 0)
                    && nonZero.compareTo(MAX_SIZE) <= 0
                    && begin.signum() >= 0
                    && end.subtract(begin).multiply(BigInteger.valueOf(8)).equals(all);
        }
    }

    final List<Entry> entries = new ArrayList<>();
    byte[] data;
    String space = "";

    /** A valid file of up to 6 tensors in any order, empty and scalar ones among them. */
    static FileModel random(Random random) {
        var model = new FileModel();
        int at = 0;
        SafetensorsType[] types = SafetensorsType.values();
        for (int i = random.nextInt(7); i > 0; i--) {
            var entry = new Entry();
            entry.name = "t" + i;
            SafetensorsType type = types[random.nextInt(types.length)];
            entry.type = type.name();
            entry.shape = new ArrayList<>();
            for (int rank = random.nextInt(4); rank > 0; rank--) {
                entry.shape.add(BigInteger.valueOf(random.nextInt(5)));
            }
            if (type.bits() < 8) {
                entry.shape.add(BigInteger.valueOf(4));
            }
            int bytes = entry.shape.stream().mapToInt(BigInteger::intValue).reduce(type.bits(), (a, b) -> a * b) / 8;
            entry.begin = BigInteger.valueOf(at);
            entry.end = BigInteger.valueOf(at + bytes);
            at += bytes;
            model.entries.add(entry);
        }
        Collections.shuffle(model.entries, random);
        model.data = new byte[at];
        random.nextBytes(model.data);
        model.space = " ".repeat(random.nextInt(3));
        return model;
    }

    String header() {
        return entries.stream()
                .map(entry -> entry.json(space))
                .collect(Collectors.joining("," + space, "{" + space, space + "}"));
    }

    byte[] bytes() {
        return RawFile.of(header().getBytes(UTF_8), data);
    }

    /** Whether the format allows this file. */
    boolean isValid() {
        if (!entries.stream().allMatch(Entry::isValid)
                || entries.stream().map(entry -> entry.name).distinct().count() != entries.size()) {
            return false;
        }
        BigInteger covered = BigInteger.ZERO;
        List<Entry> ordered = entries.stream()
                .sorted(Comparator.comparing((Entry entry) -> entry.begin).thenComparing(entry -> entry.end))
                .toList();
        for (Entry entry : ordered) {
            if (!entry.begin.equals(covered)) {
                return false;
            }
            covered = entry.end;
        }
        return covered.equals(BigInteger.valueOf(data.length));
    }
}
