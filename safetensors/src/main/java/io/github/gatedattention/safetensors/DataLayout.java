package io.github.gatedattention.safetensors;

import java.util.Arrays;
import java.util.Comparator;

/** Checks that the tensors cover the data exactly: every byte belongs to one tensor. */
final class DataLayout {
    private DataLayout() {}

    static void check(InputFile file, Header header, long dataStart) throws SafetensorsException {
        long dataBytes = file.size() - dataStart;
        TensorEntry[] entries = header.entries().values().toArray(TensorEntry[]::new);
        Arrays.sort(entries, Comparator.comparingLong(TensorEntry::begin).thenComparingLong(TensorEntry::end));
        TensorEntry before = null;
        long covered = 0;
        for (TensorEntry entry : entries) {
            if (entry.end() > dataBytes) {
                throw file.problem("tensor " + place(entry) + " ends after the data, which has " + dataBytes
                        + " bytes: the file is cut off or its offsets are wrong");
            }
            if (entry.begin() < covered && before != null) {
                throw file.problem("tensors " + place(before) + " and " + place(entry) + " overlap");
            }
            if (entry.begin() > covered) {
                throw file.problem("bytes " + covered + " to " + entry.begin()
                        + " of the data belong to no tensor; the next is " + place(entry));
            }
            covered = entry.end();
            before = entry;
        }
        if (covered != dataBytes) {
            throw file.problem("has " + dataBytes + " bytes of data, its tensors end at byte " + covered + ": "
                    + (dataBytes - covered) + " bytes belong to no tensor");
        }
    }

    private static String place(TensorEntry entry) {
        return Quote.name(entry.name()) + " [" + entry.begin() + ", " + entry.end() + ")";
    }
}
